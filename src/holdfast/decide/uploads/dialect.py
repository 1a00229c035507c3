"""What a dialect is: a parser of heads into commands, and a maker of answers out of what came of them."""

from typing import NamedTuple, Protocol
from urllib.parse import quote

from holdfast.decide.uploads.digests import repr_digest
from holdfast.decide.uploads.head import Head
from holdfast.decide.uploads.rules import Limits, Refuse
from holdfast.decide.uploads.vocabulary import Command, Phase, Upload
from holdfast.errors import HoldfastError


class Answer(NamedTuple):
    """The head of an answer. Without an error its body is the application's, or empty."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case. Where there is an error, these are beside those that the error has."""
    error: HoldfastError | None = None
    """What went wrong: the body is its problem document."""


class Terms(NamedTuple):
    """What an answer is made under."""

    base: str
    """What the ID of an upload is appended to, with a slash, to make its address: a path or a whole URL."""
    limits: Limits
    now: float
    """Seconds since the epoch."""


def file_headers(upload: Upload, *, digest: bool = True) -> list[tuple[str, str]]:
    """What is told of the file that came of an upload: what the application calls it, and its digest."""
    if upload.phase is not Phase.FINISHED:
        return []
    found = [("repr-digest", repr_digest(upload.sha256))] if upload.sha256 and digest else []
    if upload.result:
        found.append(("holdfast-file-id", quote(upload.result, safe="!#$&'()*+,/:;=?@[]~")))
    return found


class Dialect(Protocol):
    """One way of asking for uploads. None of its methods waits, and none raises because of what was sent."""

    @property
    def name(self) -> str:
        """Its name in logs and metrics: tus, ietf-8, plain, form."""
        ...

    @property
    def resumable(self) -> bool:
        """Whether an upload that broke off is kept to be gone on with."""
        ...

    def parse(self, head: Head) -> Command | Refuse:
        """What the request wants, or why it cannot be understood."""
        ...

    def answer(self, command: Command, upload: Upload, terms: Terms) -> Answer:
        """The answer to a command that was carried out; `upload` as it is now (as it was, where it is cancelled).

        An upload whose end is still under way is not told of as finished: that answer has an error.
        """
        ...

    def refusal(self, error: HoldfastError, upload: Upload | None, terms: Terms, *, whole: bool = False) -> Answer:
        """The answer for `error`. `upload` is what is known of it, None if nothing may be told.

        `whole`: all bytes were taken, and the error is about the file that they make. The error in the answer may be
        another one, as the dialect has it.
        """
        ...

    def interim(self, upload: Upload, terms: Terms, *, created: bool) -> Answer | None:
        """The 104 that is due now, or None: `created` once an upload is made, else whenever more bytes are safe."""
        ...
