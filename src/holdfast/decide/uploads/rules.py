"""What is done about a command, for every phase that an upload can be in. `TABLE` is all of it.

Whoever acts asks `decide` before it reads a byte of the body, and `after` once the body has arrived whole. A body that
broke off is not asked about: what of it is safe stays, and the upload goes on from there.

    nothing known --Create--> RECEIVING --Append ...--> FINISHING --> FINISHED
                                  |                         |
                                  +-----------> REFUSED <---+
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from holdfast.decide.uploads.errors import CompletedUpload, Finishing, InconsistentLength, MismatchingOffset
from holdfast.decide.uploads.vocabulary import Append, Cancel, Command, Create, Kind, Look, Phase, Upload
from holdfast.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    HoldfastError,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnsupportedMedia,
    UploadGone,
)


class Limits(NamedTuple):
    """What uploads are held to. None: no bound."""

    max_size: int | None = None
    """Bytes of a whole."""
    min_size: int | None = None
    """Bytes of a whole, for it to be resumable; a smaller one is taken in one request."""
    max_append: int | None = None
    """Bytes of one body."""
    min_append: int | None = None
    """Bytes of one body that does not end the whole."""
    max_age: float | None = None
    """Seconds that an upload is kept without anything being added."""
    max_parts: int = 1_000
    """How many partial uploads a final one may have."""
    types: tuple[str, ...] = ()
    """Media types that are taken, such as `text/csv` or `image/*`; none: all are."""


# -- what may be decided --


class Refuse(NamedTuple):
    """Do nothing, and answer with the error."""

    error: HoldfastError
    ends: bool = False
    """Whether the upload is over with this: it goes to REFUSED."""


class Begin(NamedTuple):
    """Make an upload, then receive its first bytes, if the command has any."""

    length: int | None
    """How many bytes the whole will have."""
    reserve: int
    """How many bytes to reserve for it at first."""
    most: int | None
    """How many bytes this body may have."""
    over: Refuse
    """What is answered if it has more."""
    finishes: bool
    """Whether it is whole already: it is empty, or it is made of parts."""


class Receive(NamedTuple):
    """Receive more bytes."""

    length: int | None
    """How many bytes the whole will have, to be noted with the next that is saved."""
    most: int | None
    """How many bytes this body may have."""
    over: Refuse
    """What is answered if it has more."""


class Keep(NamedTuple):
    """The body is in, and more will come: acknowledge it."""


class Finish(NamedTuple):
    """The whole is in: finish it. If that is under way, or done, wait for it and answer the same."""

    length: int


class Show(NamedTuple):
    """Tell how far it is."""


class Remove(NamedTuple):
    """Forget the upload."""

    bytes: bool
    """Whether its bytes go too; a finished file is the application's."""


Decision: TypeAlias = Begin | Receive | Finish | Show | Remove | Refuse
Rule: TypeAlias = Callable[[Upload | None, Command, Limits, Sequence[Upload | None]], Decision]


def decide(
    upload: Upload | None,
    command: Command,
    limits: Limits,
    *,
    owner: str,
    now: float,
    parts: Sequence[Upload | None] = (),
) -> Decision:
    """What to do about `command`, before any of its body is read.

    `upload` is what is known of the one that was addressed, None if nothing is. `owner` is who asks: somebody else's
    upload is as good as none. `now` is in seconds since the epoch. `parts` are what is known of `command.parts`.
    """
    if upload is not None and upload.owner != owner:
        upload = None
    if upload is not None and _expired(upload, now) and not isinstance(command, Cancel):
        return Refuse(UploadGone("The upload was not gone on with in time."))
    parts = [part if part is not None and part.owner == owner else None for part in parts]
    return TABLE[None if upload is None else upload.phase, type(command)](upload, command, limits, parts)


def after(upload: Upload, command: Create | Append, offset: int) -> Keep | Finish | Refuse:
    """What to do once a body has arrived whole, and the upload with it stands at `offset`.

    `upload` carries its length as `Begin` or `Receive` said. What is refused here adds nothing.
    """
    length = upload.length
    if length is not None and offset > length:
        return _too_long(length)
    if command.ends is None:
        return Finish(offset) if offset == length else Keep()
    if not command.ends:
        return Keep()
    if length is not None and offset != length:
        return Refuse(InconsistentLength(f"The upload was to have {length} bytes, and ends after {offset}."))
    return Finish(offset)


def _expired(upload: Upload, now: float) -> bool:
    return upload.phase is not Phase.FINISHING and now >= upload.expires


# -- a new one --


def _create(_upload: Upload | None, command: Command, limits: Limits, parts: Sequence[Upload | None]) -> Decision:
    if not isinstance(command, Create):
        return Refuse(NotFound())
    if command.kind is Kind.FINAL:
        return _join(command, limits, parts)
    length = command.length
    if command.ends and command.content_length is not None:
        if length is not None and length != command.content_length:
            return _not_the_rest(length, command.content_length)
        length = command.content_length
    refused = _unwelcome(command, length, limits) or _unfit(command, 0, length, limits)
    if refused is not None:
        return refused
    most, over = _bound(0, length, limits)
    if not command.has_content and isinstance(after(Upload("", "", 0, 0, length=length), command, 0), Finish):
        return Begin(0, 0, most, over, finishes=True)
    reserve = length if length is not None else command.content_length or 0
    return Begin(length, reserve, most, over, finishes=False)


def _join(command: Create, limits: Limits, parts: Sequence[Upload | None]) -> Decision:
    if command.has_content:
        return Refuse(Forbidden("A final upload is made of its parts and takes no bytes of its own."))
    if not command.parts or len(command.parts) > limits.max_parts or len(parts) != len(command.parts):
        return Refuse(BadRequest(f"A final upload is made of 1 to {limits.max_parts} partial ones."))
    length = 0
    for part in parts:
        if part is None or part.kind is not Kind.PARTIAL:
            return Refuse(BadRequest("One of the parts is no partial upload of the sender."))
        if part.phase is not Phase.FINISHED or part.length is None:
            return Refuse(Conflict("One of the parts is not complete."))
        length += part.length
    refused = _unwelcome(command, length, limits)
    return refused or Begin(length, length, *_bound(0, length, limits), finishes=True)


def _unwelcome(command: Create, length: int | None, limits: Limits) -> Refuse | None:
    """What stands against an upload that has not even begun."""
    if length is not None and limits.max_size is not None and length > limits.max_size:
        return Refuse(TooLarge(f"Uploads of at most {limits.max_size} bytes are taken."))
    if length is not None and limits.min_size is not None and length < limits.min_size and not command.ends:
        return Refuse(BadRequest(f"Less than {limits.min_size} bytes are taken in one request only."))
    if limits.types and command.kind is not Kind.PARTIAL and not _taken(command.media_type, limits.types):
        return Refuse(UnsupportedMedia(f"These types are taken: {', '.join(limits.types)}."))
    return None


def _taken(media_type: str | None, types: Sequence[str]) -> bool:
    if media_type is None:
        media_type = "application/octet-stream"
    family = media_type.partition("/")[0] + "/*"
    return media_type in types or family in types


# -- more of one --


def _append(upload: Upload | None, command: Command, limits: Limits, _parts: Sequence[Upload | None]) -> Decision:
    if upload is None or not isinstance(command, Append):
        return Refuse(NotFound())
    if upload.kind is Kind.FINAL:
        return Refuse(Forbidden("A final upload is made of its parts; nothing can be added to it."))
    if command.offset != upload.offset:
        return Refuse(MismatchingOffset(upload.offset, command.offset))
    length = upload.length if upload.length is not None else command.length
    if command.length not in {None, length}:
        return Refuse(InconsistentLength(f"The upload was to have {length} bytes; that cannot be changed."))
    if command.ends and command.content_length is not None:
        end = upload.offset + command.content_length
        if length is not None and end < length:
            return _not_the_rest(length - upload.offset, command.content_length)
        length = end if length is None else length
    refused = _unfit(command, upload.offset, length, limits)
    return refused or Receive(length, *_bound(upload.offset, length, limits))


def _append_to_whole(
    upload: Upload | None, command: Command, _limits: Limits, _parts: Sequence[Upload | None]
) -> Decision:
    """A client whose last answer was lost ends the upload once more, with nothing to add: it is answered the same."""
    if upload is None or not isinstance(command, Append):
        return Refuse(NotFound())
    if upload.kind is Kind.FINAL:
        return Refuse(Forbidden("A final upload is made of its parts; nothing can be added to it."))
    if command.offset != upload.offset:
        return Refuse(MismatchingOffset(upload.offset, command.offset))
    if command.length not in {None, upload.offset}:
        return Refuse(InconsistentLength(f"The upload has {upload.offset} bytes; that cannot be changed."))
    if command.content_length != 0 or command.ends is False:
        return Refuse(CompletedUpload())
    return Finish(upload.offset)


def _unfit(command: Create | Append, offset: int, length: int | None, limits: Limits) -> Refuse | None:
    """What stands against the body, by what its head says."""
    if length is not None and length < offset:
        return Refuse(InconsistentLength(f"The upload has {offset} bytes already, more than {length}."))
    if length is not None and limits.max_size is not None and length > limits.max_size:
        return Refuse(TooLarge(f"Uploads of at most {limits.max_size} bytes are taken."))
    size = command.content_length
    if size is None:
        return None
    if limits.max_append is not None and size > limits.max_append:
        return _too_much(limits.max_append)
    most, over = _bound(offset, length, limits)
    if most is not None and size > most:
        return over
    completes = command.ends or (command.ends is None and length == offset + size)
    empty_creation = isinstance(command, Create) and size == 0
    if limits.min_append is not None and size < limits.min_append and not completes and not empty_creation:
        return Refuse(BadRequest(f"Send at least {limits.min_append} bytes at once, unless they are the last."))
    return None


def _bound(offset: int, length: int | None, limits: Limits) -> tuple[int | None, Refuse]:
    """How many bytes may be added to `offset` at once, and what is answered to more."""
    bounds: list[tuple[int, Refuse]] = []
    if length is not None:
        bounds.append((max(length - offset, 0), _too_long(length)))
    if limits.max_size is not None:
        refused = Refuse(TooLarge(f"Uploads of at most {limits.max_size} bytes are taken."), ends=True)
        bounds.append((max(limits.max_size - offset, 0), refused))
    if limits.max_append is not None:
        bounds.append((limits.max_append, _too_much(limits.max_append)))
    return min(bounds, key=lambda bound: bound[0]) if bounds else (None, Refuse(TooLarge()))


def _too_much(most: int) -> Refuse:
    return Refuse(TooLarge(f"Send at most {most} bytes at once."))


def _too_long(length: int) -> Refuse:
    # The file is not what was announced: whatever follows cannot be told from a mistake, so it is over.
    return Refuse(InconsistentLength(f"The upload was to have {length} bytes, and got more."), ends=True)


def _not_the_rest(expected: int, provided: int) -> Refuse:
    return Refuse(InconsistentLength(f"The body was to bring the last {expected} bytes, and brings {provided}."))


# -- the rest --


def _show(_upload: Upload | None, _command: Command, _limits: Limits, _parts: Sequence[Upload | None]) -> Decision:
    return Show()


def _remove(upload: Upload | None, _command: Command, _limits: Limits, _parts: Sequence[Upload | None]) -> Decision:
    kept = upload is not None and upload.phase is Phase.FINISHED and upload.kind is not Kind.PARTIAL
    return Remove(bytes=not kept)


def _unknown(_upload: Upload | None, _command: Command, _limits: Limits, _parts: Sequence[Upload | None]) -> Decision:
    return Refuse(NotFound("There is no such upload."))


def _there_already(
    _upload: Upload | None, _command: Command, _limits: Limits, _parts: Sequence[Upload | None]
) -> Decision:
    return Refuse(MethodNotAllowed("Nothing can be begun at the address of an upload."))


def _being_finished(
    _upload: Upload | None, _command: Command, _limits: Limits, _parts: Sequence[Upload | None]
) -> Decision:
    return Refuse(Finishing())


def _over(upload: Upload | None, _command: Command, _limits: Limits, _parts: Sequence[Upload | None]) -> Decision:
    reason = None if upload is None else upload.problem
    return Refuse(UploadGone("The upload was refused." if reason else None, reason=reason))


TABLE: Final[Mapping[tuple[Phase | None, type[Command]], Rule]] = {
    (None, Create): _create,
    (None, Append): _unknown,
    (None, Look): _unknown,
    (None, Cancel): _unknown,
    (Phase.RECEIVING, Create): _there_already,
    (Phase.RECEIVING, Append): _append,
    (Phase.RECEIVING, Look): _show,
    (Phase.RECEIVING, Cancel): _remove,
    (Phase.FINISHING, Create): _there_already,
    (Phase.FINISHING, Append): _append_to_whole,
    (Phase.FINISHING, Look): _show,
    (Phase.FINISHING, Cancel): _being_finished,
    (Phase.FINISHED, Create): _there_already,
    (Phase.FINISHED, Append): _append_to_whole,
    (Phase.FINISHED, Look): _show,
    (Phase.FINISHED, Cancel): _remove,
    (Phase.REFUSED, Create): _there_already,
    (Phase.REFUSED, Append): _over,
    (Phase.REFUSED, Look): _over,
    (Phase.REFUSED, Cancel): _remove,
}
