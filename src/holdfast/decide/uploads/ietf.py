"""The IETF draft "Resumable Uploads for HTTP", from -01 to -12: heads to commands, and what came of them to headers.

What differs from version to version is the table in `interop`. Where nothing is said of the version, it is the newest.
"""

from collections.abc import Mapping
from typing import Final

from holdfast.decide.names import kept_name, name_in
from holdfast.decide.uploads import fields
from holdfast.decide.uploads.dialect import Answer, Terms, file_headers
from holdfast.decide.uploads.digests import content_digests, whole_digests
from holdfast.decide.uploads.errors import Finishing
from holdfast.decide.uploads.head import Head, content_length, media_type, not_answered, refuse_codings
from holdfast.decide.uploads.interop import INTEROPS, NEWEST, Interop
from holdfast.decide.uploads.metadata import metadata
from holdfast.decide.uploads.rules import Limits, Refuse
from holdfast.decide.uploads.vocabulary import Append, Cancel, Command, Create, Look, Phase, Upload
from holdfast.errors import BadRequest, HoldfastError, NotFound, Unavailable, UnsupportedMedia, UploadGone

PARTIAL_UPLOAD: Final = "application/partial-upload"
_TRANSPORT_TYPES: Final = frozenset({PARTIAL_UPLOAD, "application/offset+octet-stream"})
_STATE: Final = ("Upload-Offset", "Upload-Complete", "Upload-Incomplete", "Upload-Length")
_NO_STORE: Final = ("cache-control", "no-store")


class Ietf:
    """The dialect in one interop version."""

    resumable: bool = True

    def __init__(self, interop: Interop, *, announced: bool) -> None:
        """Speak `interop`; `announced`: the request named exactly this version, so a 104 may be sent."""
        self.interop: Interop = interop
        self.name: str = f"ietf-{interop.number}"
        self._announced = announced

    def parse(self, head: Head) -> Command | Refuse:
        """What the request wants, or why it cannot be understood."""
        try:
            return _command(head, self.interop)
        except HoldfastError as error:
            return Refuse(error)

    def answer(self, command: Command, upload: Upload, terms: Terms) -> Answer:
        """The answer to a command that was carried out."""
        if isinstance(command, Cancel):
            return Answer(204, ())
        whole = upload.phase is Phase.FINISHED
        if isinstance(command, Look):
            told = (*self._standing(upload, terms), *self._length(upload), *file_headers(upload))
            return Answer(204, (*told, _NO_STORE))
        if upload.phase is Phase.FINISHING:
            return self.refusal(Finishing(), upload, terms)
        found = (*self._standing(upload, terms), *file_headers(upload))
        if isinstance(command, Append):
            return Answer(self.interop.completed if whole else self.interop.appended, found)
        return Answer(201, (("location", f"{terms.base}/{upload.id}"), *found))

    def refusal(self, error: HoldfastError, upload: Upload | None, terms: Terms, *, whole: bool = False) -> Answer:
        """The answer for `error`."""
        if isinstance(error, Finishing):
            error = Unavailable(error.detail, headers=error.headers)
        if isinstance(error, UploadGone) and not self.interop.gone:
            error = NotFound(error.detail)
        found = [self._complete(whole), *self._limits(terms, None)]
        if upload is not None and upload.phase is Phase.RECEIVING and "upload-offset" not in error.headers:
            found.append(_offset(upload))
        return Answer(error.status, tuple(found), error)

    def interim(self, upload: Upload, terms: Terms, *, created: bool) -> Answer | None:
        """The 104 that is due, None if this client is not to get one."""
        if not self._announced or not (created or self.interop.progress):
            return None
        version = ("upload-draft-interop-version", str(self.interop.number))
        if not created:
            return Answer(104, (version, _offset(upload)))
        return Answer(104, (version, ("location", f"{terms.base}/{upload.id}"), *self._limits(terms, upload)))

    def _standing(self, upload: Upload, terms: Terms) -> tuple[tuple[str, str], ...]:
        whole = upload.phase is Phase.FINISHED
        return (_offset(upload), self._complete(whole), *self._limits(terms, upload))

    def _complete(self, whole: bool) -> tuple[str, str]:
        return self.interop.complete.lower(), fields.flag(whole is not self.interop.inverted)

    def _length(self, upload: Upload) -> list[tuple[str, str]]:
        if upload.length is None or not self.interop.told_length:
            return []
        return [("upload-length", str(upload.length))]

    def _limits(self, terms: Terms, upload: Upload | None) -> list[tuple[str, str]]:
        if self.interop.age is None:
            return []
        left = terms.limits.max_age if upload is None else max(upload.expires - terms.now, 0)
        return [("upload-limit", limits_field(terms.limits, self.interop.age, left))]


def spoken_version(head: Head) -> Ietf | None:
    """The draft in the version that a request speaks; None if nothing in it is the draft's."""
    version = head.get("upload-draft-interop-version")
    if version is not None:
        interop = INTEROPS.get(fields.integer(version) or 0)
        return Ietf(NEWEST, announced=False) if interop is None else Ietf(interop, announced=True)
    if fields.boolean(head.get("upload-complete")) is not None:
        return Ietf(NEWEST, announced=False)
    if fields.boolean(head.get("upload-incomplete")) is not None:
        return Ietf(INTEROPS[3], announced=False)
    return Ietf(NEWEST, announced=False) if head.upload_id is not None else None


def spoken_limits(head: Head, limits: Limits) -> str:
    """The `Upload-Limit` field that OPTIONS tells, in the words of the version that is asked in."""
    spoken = spoken_version(head)
    age = spoken.interop.age if spoken is not None else None
    return limits_field(limits, age or "max-age", limits.max_age)


def limits_field(limits: Limits, age: str, left: float | None) -> str:
    """An `Upload-Limit` field; `left` are the seconds that are left, called `age`. Without a limit: `min-size=0`."""
    named = {
        "max-size": limits.max_size,
        "min-size": limits.min_size,
        "max-append-size": limits.max_append,
        "min-append-size": limits.min_append,
        age: None if left is None else int(left),
    }
    known: Mapping[str, int] = {key: min(value, 10**15 - 1) for key, value in named.items() if value is not None}
    return fields.written(known or {"min-size": 0})


# -- heads to commands --


def _command(head: Head, interop: Interop) -> Command:
    if head.upload_id is None:
        if head.method not in {"POST", "PUT", "PATCH"}:
            raise not_answered("POST", "PUT", "PATCH")
        return _create(head, interop)
    if head.method == "PATCH":
        return _append(head, interop)
    if head.method not in {"HEAD", "GET", "DELETE"}:
        raise not_answered("HEAD", "GET", "PATCH", "DELETE")
    sent = [name for name in _STATE if head.get(name.lower()) is not None]
    if sent:
        raise BadRequest(f"{head.method} does not take {', '.join(sent)}.")
    return Cancel() if head.method == "DELETE" else Look()


def _create(head: Head, interop: Interop) -> Create:
    ends, size = _ends(head, interop), content_length(head)
    if ends is None:
        raise BadRequest(f"{interop.complete} is missing, or neither ?0 nor ?1.")
    if fields.integer(head.get("upload-offset")):
        raise BadRequest("An upload begins at offset 0.")
    refuse_codings(head)
    length = fields.integer(head.get("upload-length"))
    kind = media_type(head)
    described = metadata(head.get("upload-metadata"))
    return Create(
        length=length,
        name=kept_name(head.name) if head.name else name_in(head.get("content-disposition")) or described.name,
        media_type=described.media_type if kind in _TRANSPORT_TYPES else kind or described.media_type,
        metadata=described.raw,
        digests=whole_digests(head),
        has_content=size != 0,
        ends=ends or (interop.empty_ends and length == 0 and size == 0),
        content_length=size,
        content_digests=content_digests(head),
    )


def _append(head: Head, interop: Interop) -> Append:
    if interop.partial_type and media_type(head) != PARTIAL_UPLOAD:
        raise UnsupportedMedia(f"Send the bytes as {PARTIAL_UPLOAD}.", headers={"accept-patch": PARTIAL_UPLOAD})
    offset = fields.integer(head.get("upload-offset"))
    if offset is None:
        raise BadRequest("Upload-Offset is missing, or is no number of bytes.")
    ends = _ends(head, interop)
    if ends is None:
        ends = interop.without
    if ends is None:
        raise BadRequest(f"{interop.complete} is missing, or neither ?0 nor ?1.")
    refuse_codings(head)
    return Append(
        offset=offset,
        length=fields.integer(head.get("upload-length")),
        ends=ends,
        content_length=content_length(head),
        content_digests=content_digests(head),
    )


def _ends(head: Head, interop: Interop) -> bool | None:
    said = fields.boolean(head.get(interop.complete.lower()))
    return None if said is None else said is not interop.inverted


# -- uploads to headers --


def _offset(upload: Upload) -> tuple[str, str]:
    return "upload-offset", str(upload.offset)
