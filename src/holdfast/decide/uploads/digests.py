"""Digests: RFC 9530 (`Content-Digest`, `Repr-Digest`) and the `Upload-Checksum` of tus.

A digest that cannot be checked is never passed over in silence: if a header brings none of an algorithm that is known
here, the request is refused.
"""

import binascii
import hmac
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Final

from holdfast.decide.uploads import fields
from holdfast.decide.uploads.errors import InvalidDigest, UnsupportedDigest
from holdfast.decide.uploads.head import Head
from holdfast.decide.uploads.vocabulary import Digest
from holdfast.errors import BadRequest

HASHES: Final[Mapping[str, str]] = {"sha-256": "sha256", "sha-512": "sha512", "sha1": "sha1", "md5": "md5"}
"""What `hashlib` calls each algorithm that a `Digest` may name."""
SIZES: Final[Mapping[str, int]] = {"sha-256": 32, "sha-512": 64, "sha1": 20, "md5": 16}
"""How many bytes a digest of each has."""
CHECKSUMS: Final[Mapping[str, str]] = {"sha1": "sha1", "md5": "md5", "sha256": "sha-256", "sha512": "sha-512"}
"""What tus calls each."""
_OF_FIELDS: Final = frozenset({"sha-256", "sha-512"})
"""What RFC 9530 calls active. The others it knows stop no one who means harm."""
_CHECKSUM: Final = re.compile(r"([a-z0-9-]{1,32}) ([A-Za-z0-9+/]{0,128}={0,2})")


def content_digests(head: Head) -> tuple[Digest, ...]:
    """What the body must hash to. Raises BadRequest, InvalidDigest, UnsupportedDigest."""
    return _digests(head, "Content-Digest")


def whole_digests(head: Head) -> tuple[Digest, ...]:
    """What the whole must hash to. Raises BadRequest, InvalidDigest, UnsupportedDigest."""
    return _digests(head, "Repr-Digest")


def checksum(head: Head) -> tuple[Digest, ...]:
    """What the body must hash to, as tus says it. Raises BadRequest, InvalidDigest, UnsupportedDigest."""
    text = head.get("upload-checksum")
    if text is None:
        return ()
    found = _CHECKSUM.fullmatch(text)
    if found is None:
        raise BadRequest("Upload-Checksum is not an algorithm and a base64 digest with a space between.")
    algorithm = CHECKSUMS.get(found[1])
    if algorithm is None:
        raise UnsupportedDigest([found[1]], "Upload-Checksum")
    try:
        value = b64decode(found[2], validate=True)
    except binascii.Error:
        raise BadRequest("The digest in Upload-Checksum is not base64.") from None
    return (_sized(Digest(algorithm, value), "Upload-Checksum"),)


def mismatched(wanted: Iterable[Digest], found: Mapping[str, bytes]) -> tuple[Digest, ...]:
    """Those of `wanted` that are not what was `found`, which holds a digest for each algorithm that is wanted."""
    return tuple(one for one in wanted if not hmac.compare_digest(one.value, found[one.algorithm]))


def repr_digest(sha256: str) -> str:
    """A `Repr-Digest` field, from a SHA-256 in hexadecimal."""
    return fields.written({"sha-256": bytes.fromhex(sha256)})


def _digests(head: Head, header: str) -> tuple[Digest, ...]:
    text = head.get(header.lower())
    if text is None:
        return ()
    members = fields.dictionary(text)
    if not members:
        raise BadRequest(f"{header} is not a dictionary of digests (RFC 9530).")
    found = tuple(
        _digest(algorithm, member, header) for algorithm, member in members.items() if algorithm in _OF_FIELDS
    )
    if not found:
        raise UnsupportedDigest([key[:64] for key in members][:16], header)
    return found


def _digest(algorithm: str, member: fields.Item | fields.Inner, header: str) -> Digest:
    value = member.value if isinstance(member, fields.Item) else None
    if not isinstance(value, bytes):
        raise BadRequest(f"{header} is not a dictionary of digests (RFC 9530).")
    return _sized(Digest(algorithm, value), header)


def _sized(digest: Digest, header: str) -> Digest:
    size = SIZES[digest.algorithm]
    if len(digest.value) != size:
        raise InvalidDigest(digest.algorithm, header, f"The digest has {len(digest.value)} bytes, not {size}.")
    return digest
