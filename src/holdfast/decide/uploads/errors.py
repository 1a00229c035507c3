"""The errors of the upload protocols, with the problem types that their specifications register.

    MismatchingOffset    409  mismatching-upload-offset
    InconsistentLength   400  inconsistent-upload-length
    CompletedUpload      400  completed-upload
    Finishing            423  upload-finishing
    UnsupportedVersion   412  unsupported-upload-version
    WrongDigest          400  wrong-digest
      ChecksumMismatch   460  checksum-mismatch
    InvalidDigest        400  invalid-digest
    UnsupportedDigest    400  unsupported-digest

Where there is a type of the IANA registry, the problem document carries it instead of ours. The first three are of
draft-ietf-httpbis-resumable-upload (`completed-upload` up to its version -11), the digests' of
draft-ietf-httpapi-digest-fields-problem-types-06.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from holdfast.decide.uploads.vocabulary import Digest
from holdfast.errors import BadRequest, Conflict, HoldfastError

_REGISTRY: Final = "https://iana.org/assignments/http-problem-types#"
_WANTED: Final = "sha-256=10, sha-512=9"


class MismatchingOffset(Conflict):
    """The offset of the request is not that of the upload."""

    code = "mismatching-upload-offset"
    advice = "Go on from the offset that Upload-Offset and expected-offset name."

    def __init__(self, expected: int, provided: int) -> None:
        """Say where the upload is, and where the request would have gone on."""
        members: dict[str, object] = {"expected-offset": expected, "provided-offset": provided}
        super().__init__(
            f"The upload stands at byte {expected}, the request would go on at byte {provided}.",
            headers={"upload-offset": str(expected)},
            type=_REGISTRY + self.code,
            **members,
        )


class InconsistentLength(BadRequest):
    """The lengths that were given for the upload contradict each other, or its bytes do."""

    code = "inconsistent-upload-length"
    advice = "Begin a new upload; look whether the file has changed meanwhile."

    def __init__(self, detail: str | None = None) -> None:
        """Say in `detail` what contradicts what."""
        super().__init__(detail, type=_REGISTRY + self.code)


class CompletedUpload(BadRequest):
    """The upload is complete; nothing can be added to it."""

    code = "completed-upload"
    advice = "Begin a new upload."

    def __init__(self) -> None:
        super().__init__(type=_REGISTRY + self.code)


class Finishing(HoldfastError):
    """All bytes are here; the upload is being finished."""

    code = "upload-finishing"
    status = 423
    advice = "Ask again in a moment."

    def __init__(self) -> None:
        super().__init__(headers={"retry-after": "1"})


class UnsupportedVersion(HoldfastError):
    """The request speaks a version of the upload protocol that is not spoken here."""

    code = "unsupported-upload-version"
    status = 412
    advice = "Speak one of the versions that Tus-Version names."


class WrongDigest(BadRequest):
    """The bytes are not those that the digest was made of."""

    code = "wrong-digest"
    advice = "Send the bytes again; if it stays, the file changes while it is read, or something on the way changes it."

    def __init__(self, digests: Sequence[Digest], header: str) -> None:
        """Name the digests that do not hold, and the header that brought them."""
        found = [
            {
                "algorithm": digest.algorithm,
                "provided_digest": f":{b64encode(digest.value).decode()}:",
                "header": header,
            }
            for digest in digests
        ]
        super().__init__(type=f"{_REGISTRY}digest-mismatched-values", mismatched_digests=found)
        self.digests: tuple[Digest, ...] = tuple(digests)
        self.header: str = header


class ChecksumMismatch(WrongDigest):
    """The bytes are not those that the checksum was made of."""

    code = "checksum-mismatch"
    status = 460


class InvalidDigest(BadRequest):
    """A digest cannot be one of its algorithm."""

    code = "invalid-digest"
    advice = "Correct how the digest is calculated or written; sending it again as it is will fail again."

    def __init__(self, algorithm: str, header: str, reason: str) -> None:
        """Name the algorithm and the header, and say why the value is none."""
        found = [{"algorithm": algorithm, "header": header, "reason": reason}]
        super().__init__(type=f"{_REGISTRY}digest-invalid-values", invalid_digests=found)


class UnsupportedDigest(BadRequest):
    """None of the digests is of an algorithm that is known here, so nothing could be checked."""

    code = "unsupported-digest"
    advice = "Use one of the algorithms that are named, or leave the digest out."

    def __init__(self, algorithms: Sequence[str], header: str) -> None:
        """Name the algorithms and the header that brought them."""
        found = [{"algorithm": algorithm, "header": header} for algorithm in algorithms]
        wants = {} if header == "Upload-Checksum" else {f"want-{header.lower()}": _WANTED}
        super().__init__(headers=wants, type=f"{_REGISTRY}digest-unsupported-algorithms", unsupported_algorithms=found)
