"""What a generator is to do: which requests, when, over what connections."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, NamedTuple

from holdfast.prove.load.arrivals import Phase

KindName = Literal["kept", "new", "anew"]
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Idempotent methods (RFC 9110, section 9.2.2): a client may send them again when a connection ends."""


class Kind(NamedTuple):
    """How clients use connections."""

    keeps: bool
    """A connection is used again."""
    hangs_up: bool
    """It is closed when its request has timed out; otherwise its answer is waited for and thrown away."""
    bounded: bool
    """There are so many and no more: a request waits for one, and whose turn it is is a matter of chance."""


KINDS: Final[dict[KindName, Kind]] = {
    "kept": Kind(keeps=True, hangs_up=False, bounded=True),
    "new": Kind(keeps=False, hangs_up=True, bounded=False),
    "anew": Kind(keeps=True, hangs_up=True, bounded=False),
}
"""A pool of kept connections; a connection for each request; kept ones without a bound, and who gives up hangs up."""


@dataclass(frozen=True, slots=True)
class Template:
    """A request to be sent many times.

    In the path, the values of headers, the body and the expected body, `{n}` stands for the number of the request and
    `{request_id}` for its request ID.
    """

    path: str = "/"
    method: str = "GET"
    headers: Sequence[tuple[str, str]] = ()
    """`Host` and `Content-Length` are added where they are missing."""
    body: bytes = b""
    weight: float = 1.0
    """How often it is sent, beside the other templates of a job."""
    critical: bool = False
    """Whether it counts as one of the highest class; that it says so to the server is a matter of its headers."""
    exactly: bytes | None = None
    """The body that a good answer has."""
    containing: bytes | None = None
    """What the body of a good answer contains."""
    request_id: bool = False
    """Whether it carries a fresh `X-Request-ID`."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is no request."""
        first = self.method + self.path
        text = "".join((first, *(name + value for name, value in self.headers)))
        odd = " " in first or any(sign in text for sign in "\r\n\0")
        if odd or not self.method or not self.path.startswith(("/", "*")):
            raise ValueError(f"no request can be made of {self.method!r} {self.path!r} {self.headers!r}")
        if self.weight < 0:
            raise ValueError(f"a weight is not negative: {self.weight}")

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when a kept connection was closed as it was on its way."""
        return self.method in _REPEATABLE


def _fresh() -> str:
    return os.urandom(12).hex()


@dataclass(frozen=True, slots=True)
class Job:
    """What a generator is to do. Requests come by `phases`, or from `closed` clients for `closed_s` seconds."""

    port: int
    templates: Sequence[Template] = (Template(),)
    phases: Sequence[Phase] = ()
    """An open loop: seconds, and the mean rate in them."""
    kind: KindName = "anew"
    host: str = "127.0.0.1"
    seed: int = 1
    """Fixes when each request comes, and which one."""
    timeout_s: float = 1.0
    """From the moment that a request was meant for."""
    apart: bool = False
    """Each connection comes from an address of its own, as if from as many clients; to 127.0.0.1 only."""
    pool: int = 64
    """Connections at most, where they are bounded."""
    closed: int = 0
    """A closed loop: so many clients that each ask again when they have been answered."""
    closed_s: float = 0.0
    pids: Sequence[int] = ()
    """The server's processes: their CPU time and memory are noted four times a second."""
    core: int | None = None
    """Where the generator runs; none: where the caller may."""
    servers_core: int | None = None
    """Where the server's processes run, if it is one core: how long it was busy is noted too."""
    first: int = 0
    """The number of the first request."""
    ids: str = field(default_factory=_fresh)
    """What all request IDs begin with."""

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be done."""
        if self.kind not in KINDS:
            raise ValueError(f"a kind of clients is one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.apart and self.host != "127.0.0.1":
            raise ValueError("only of 127.0.0.1 there are other addresses to come from")
        if bool(self.phases) == bool(self.closed):
            raise ValueError("a job has phases, or clients of a closed loop")
        if not sum(one.weight for one in self.templates):
            raise ValueError("a job has no template that is ever sent")


def encoded(job: Job) -> str:
    """A job as one line of JSON."""
    return json.dumps(asdict(job), default=_text)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise TypeError(f"a job has nothing like {value!r}")


def decoded(text: str) -> Job:
    """The job that was encoded. Raises ValueError, TypeError."""
    found: dict[str, Any] = json.loads(text)
    found["templates"] = tuple(_template(**one) for one in found.get("templates", [{}]))
    found["phases"] = tuple(Phase(*one) for one in found.get("phases", ()))
    found["pids"] = tuple(found.get("pids", ()))
    return Job(**found)


def _template(**found: Any) -> Template:
    found["headers"] = tuple((str(name), str(value)) for name, value in found.get("headers", ()))
    for name in ("body", "exactly", "containing"):
        if found.get(name) is not None:
            found[name] = found[name].encode("latin-1")
    return Template(**found)
