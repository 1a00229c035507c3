"""tus 1.0.0 (https://tus.io/protocols/resumable-upload): the core and every extension but `checksum-trailer`.

ASGI hands no request trailers to an application, so that one is not announced.
"""

from email.utils import formatdate
from typing import Final

from holdfast.decide.uploads.concat import concat, written
from holdfast.decide.uploads.dialect import Answer, Terms, file_headers
from holdfast.decide.uploads.digests import CHECKSUMS, checksum
from holdfast.decide.uploads.errors import ChecksumMismatch, Finishing, UnsupportedVersion, WrongDigest
from holdfast.decide.uploads.head import Head, content_length, media_type, not_answered, number, refuse_codings
from holdfast.decide.uploads.metadata import metadata
from holdfast.decide.uploads.rules import Limits, Refuse
from holdfast.decide.uploads.vocabulary import Append, Cancel, Command, Create, Kind, Look, Phase, Upload
from holdfast.errors import BadRequest, HoldfastError, UnsupportedMedia

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation"
OFFSET_STREAM: Final = "application/offset+octet-stream"
_SPEAKS: Final[tuple[str, str]] = ("tus-resumable", VERSION)
_NO_STORE: Final = ("cache-control", "no-store")
_LATEST: Final = 253_402_300_799.0  # the last second of the year 9999
_NOT_A_STREAM: Final = f"Send the bytes as {OFFSET_STREAM}."


class Tus:
    """The dialect. It has no state."""

    name: str = "tus"
    resumable: bool = True

    def parse(self, head: Head) -> Command | Refuse:
        """What the request wants, or why it cannot be understood."""
        try:
            return _command(head)
        except HoldfastError as error:
            return Refuse(error)

    def answer(self, command: Command, upload: Upload, terms: Terms) -> Answer:
        """The answer to a command that was carried out."""
        if isinstance(command, Cancel):
            return Answer(204, (_SPEAKS,))
        if upload.phase is Phase.FINISHING:
            return self.refusal(Finishing(), None, terms)
        found = [_SPEAKS, *file_headers(upload, digest=False)]
        if upload.phase is Phase.RECEIVING:
            found.append(("upload-expires", formatdate(min(max(upload.expires, 0.0), _LATEST), usegmt=True)))
        if isinstance(command, Look):
            return Answer(200, (*found, _NO_STORE, *_standing(upload, terms)))
        if isinstance(command, Append):
            return Answer(204, (*found, _offset(upload)))
        return Answer(201, (*found, ("location", f"{terms.base}/{upload.id}"), _offset(upload)))

    def refusal(
        self,
        error: HoldfastError,
        upload: Upload | None,
        terms: Terms,  # noqa: ARG002 - as Dialect has it
        *,
        whole: bool = False,  # noqa: ARG002 - as Dialect has it
    ) -> Answer:
        """The answer for `error`. A wrong checksum of a body becomes tus' own 460."""
        if isinstance(error, WrongDigest) and error.header != "Repr-Digest":
            error = ChecksumMismatch(error.digests, "Upload-Checksum")
        found: list[tuple[str, str]] = [_SPEAKS]
        if isinstance(error, UnsupportedVersion):
            found.append(("tus-version", VERSION))
        if upload is not None and upload.phase is Phase.RECEIVING and "upload-offset" not in error.headers:
            found.append(_offset(upload))
        return Answer(error.status, tuple(found), error)

    def interim(self, upload: Upload, terms: Terms, *, created: bool) -> Answer | None:  # noqa: ARG002 - as Dialect has it
        """None: tus knows no interim answers."""
        return None


TUS: Final = Tus()


def announced(limits: Limits) -> tuple[tuple[str, str], ...]:
    """What OPTIONS tells: versions, extensions, the largest size, the checksums."""
    found = [
        _SPEAKS,
        ("tus-version", VERSION),
        ("tus-extension", EXTENSIONS),
        ("tus-checksum-algorithm", ",".join(CHECKSUMS)),
    ]
    if limits.max_size is not None:
        found.append(("tus-max-size", str(limits.max_size)))
    return tuple(found)


# -- heads to commands --


def _command(head: Head) -> Command:
    if head.get("tus-resumable") != VERSION:
        raise UnsupportedVersion(f"Tus-Resumable is not {VERSION}.")
    method = head.method
    if method == "POST":
        method = (head.get("x-http-method-override") or method).upper()
    if head.upload_id is None:
        if method != "POST":
            raise not_answered("POST")
        return _create(head)
    if method == "PATCH":
        return _append(head)
    if method in {"HEAD", "GET"}:
        return Look()
    if method == "DELETE":
        return Cancel()
    raise not_answered("HEAD", "GET", "PATCH", "DELETE")


def _create(head: Head) -> Create:
    kind, parts = concat(head.get("upload-concat"), head.base)
    size, described = content_length(head), metadata(head.get("upload-metadata"))
    has_content = size != 0 and media_type(head) == OFFSET_STREAM
    if size and not has_content:
        raise UnsupportedMedia(_NOT_A_STREAM)
    refuse_codings(head)
    return Create(
        length=_length(head, kind),
        name=described.name,
        media_type=described.media_type,
        metadata=described.raw,
        kind=kind,
        parts=parts,
        has_content=has_content,
        content_length=size if has_content else 0,
        content_digests=checksum(head),
    )


def _length(head: Head, kind: Kind) -> int | None:
    given, deferred = head.get("upload-length"), head.get("upload-defer-length")
    if kind is Kind.FINAL:
        if given is not None or deferred is not None:
            raise BadRequest("The length of a final upload is that of its parts: leave Upload-Length out.")
        return None
    if (given is None) == (deferred is None) or deferred not in {None, "1"}:
        raise BadRequest("Send either Upload-Length, or Upload-Defer-Length: 1.")
    return None if given is None else _number(head, "Upload-Length")


def _append(head: Head) -> Append:
    if media_type(head) != OFFSET_STREAM:
        raise UnsupportedMedia(_NOT_A_STREAM)
    refuse_codings(head)
    return Append(
        offset=_number(head, "Upload-Offset"),
        length=None if head.get("upload-length") is None else _number(head, "Upload-Length"),
        content_length=content_length(head),
        content_digests=checksum(head),
    )


def _number(head: Head, name: str) -> int:
    found = number(head.get(name.lower()))
    if found is None:
        raise BadRequest(f"{name} is missing, or is no number of bytes.")
    return found


# -- uploads to headers --


def _offset(upload: Upload) -> tuple[str, str]:
    return "upload-offset", str(upload.offset)


def _standing(upload: Upload, terms: Terms) -> list[tuple[str, str]]:
    found = [_offset(upload)]
    if upload.length is None:
        found.append(("upload-defer-length", "1"))
    else:
        found.append(("upload-length", str(upload.length)))
    if upload.metadata:
        found.append(("upload-metadata", upload.metadata))
    made_of = written(upload.kind, upload.parts, terms.base)
    if made_of is not None:
        found.append(("upload-concat", made_of))
    return found
