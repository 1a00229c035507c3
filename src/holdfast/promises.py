"""The catalogue of promises: the one vocabulary of Holdfast.

A promise is a sentence about how a backend behaves in trouble. Parts keep promises, the docs explain them.
"""

from typing import Final, NamedTuple


class Promise(NamedTuple):
    """One promise of the catalogue."""

    name: str
    sentence: str
    kept_by: tuple[str, ...]
    """The modules of Holdfast that keep it today; empty where none does yet."""


CATALOGUE: Final[tuple[Promise, ...]] = (
    Promise(
        "responsive",
        "The event loop is never held up: calculation and blocking calls run elsewhere.",
        ("holdfast.parts.offload", "holdfast.parts.watchdog", "holdfast.profile"),
    ),
    Promise(
        "released",
        "What is opened is closed, whatever happens, as soon as it is no longer needed.",
        ("holdfast.resources", "holdfast.exports"),
    ),
    Promise(
        "bounded",
        "Memory stays flat from 100 rows to 10 million, from 1 KB to 10 GB.",
        ("holdfast.uploads", "holdfast.exports"),
    ),
    Promise("durable", "What was acknowledged survives kill -9 and power loss.", ("holdfast.uploads",)),
    Promise(
        "selective",
        "Past its capacity it serves what it can, the important first, and refuses the rest at once.",
        ("holdfast.parts.shedding", "holdfast.serve"),
    ),
    Promise(
        "punctual",
        "Every request has a deadline; work nobody waits for stops.",
        ("holdfast.parts.deadlines", "holdfast.deadlines"),
    ),
    Promise("isolated", "A failing neighbour slows nothing else, and is used again once it is well.", ()),
    Promise("once", "A repeated request takes effect once.", ()),
    Promise("graceful", "Deploys and restarts drop no request.", ("holdfast.parts.drain", "holdfast.serve")),
    Promise(
        "guarded",
        "A slow or greedy client takes nothing from the others.",
        ("holdfast.serve", "holdfast.parts.rates"),
    ),
    Promise(
        "traceable",
        "One ID finds everything that happened to a request.",
        ("holdfast.context", "holdfast.logs"),
    ),
    Promise(
        "discreet",
        "No secret reaches a log line, an error page or a trace.",
        ("holdfast.settings", "holdfast.logs"),
    ),
    Promise(
        "explained",
        "Every failure has its own error, and tells the caller what to do.",
        ("holdfast.errors", "holdfast.problems"),
    ),
    Promise("typed", "The types catch it before the users do.", ("holdfast",)),
    Promise(
        "replaceable",
        "What the code depends on is passed in, so a test can pass something else.",
        ("holdfast.resources",),
    ),
    Promise("tested", "The whole flow is tested the way a user walks it.", ()),
)

BY_NAME: Final[dict[str, Promise]] = {promise.name: promise for promise in CATALOGUE}
