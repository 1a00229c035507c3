"""A file on its way out: byte for byte, as an attachment of no type, so that a browser saves it and never shows it.

Whole or in parts, with its SHA-256 as ETag and digest: `holdfast.exports` has the answer for what lies in a store.
"""

from typing import Final

from depot.models import File
from holdfast import exports, uploads

_NO_TYPE: Final = "application/octet-stream"


def answer(file: File, blobs: uploads.Blobs) -> exports.Download:
    """The file, or the part of it that is asked for. Sending it raises BadRequest, RangeNotSatisfiable."""
    as_sent = exports.Kept(file.id, file.name, _NO_TYPE, file.size, file.sha256, file.records)
    return exports.download(as_sent, blobs)
