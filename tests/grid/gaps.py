"""Where a cell does not hold, and why.

The tests assert that it really does not hold there, and that the failure says what `shows` looks for: so no note
outlives what it tells of.
"""

from collections.abc import Iterator
from typing import NamedTuple

from grid.cell import Cell
from grid.shop import FRAMEWORKS, SERVERS


class Gap(NamedTuple):
    """Cells that do not hold, for one reason."""

    why: str
    cells: tuple[str, ...]
    frameworks: tuple[str, ...]
    shows: str
    """What the failure says, as a regular expression."""
    servers: tuple[str, ...] = SERVERS


UVICORN = ("uvicorn",)
OFFERS = (
    "uvicorn does not read the body of a request that offers another protocol, and takes it for the next request: such "
    "a body can smuggle one past a proxy."
)
READS_WHOLE = (
    "Django reads a body whole, into memory and then to disk, before it calls the view: it takes as much as is sent, "
    "and cannot answer early."
)
NO_ROUTE = "No route is left in the scope, so the line's route is null. [An application can leave it](#routes)."

GAPS = (
    # -- uvicorn's, or such as `holdfast run` mends --
    Gap(
        "The framework sends a length of 0 with 204, which has none. uvicorn passes it on; `holdfast run` leaves it "
        "out.",
        ("answers.no_content",),
        ("django", "quart", "blacksheep"),
        "content-length: 0",
        UVICORN,
    ),
    Gap(
        "uvicorn closes the connection when an exception reaches it, though the 500 before it was whole.",
        ("ends.before_the_first_byte",),
        ("bare", "fastapi", "starlette"),
        "the connection ended in a line",
        UVICORN,
    ),
    Gap(
        "Starlette's `BaseHTTPMiddleware`, which is behind FastAPI's `@app.middleware`, ends a stream that failed as "
        "if it were whole, and raises the exception only then. `holdfast run` holds the end back for that moment.",
        ("ends.after_the_first_byte",),
        ("fastapi",),
        "the answer looks whole",
        UVICORN,
    ),
    Gap(
        "The framework does not look whether the client is still there. Under uvicorn it streams on for as long as "
        "there is something to stream; `holdfast run` stops it after a second.",
        ("ends.gone_while_reading",),
        ("falcon", "blacksheep"),
        "noted is None",
        UVICORN,
    ),
    Gap(
        "uvicorn sends chunks to clients of HTTP/1.0, which know none.",
        ("wire.old_stream",),
        FRAMEWORKS,
        "chunked",
        UVICORN,
    ),
    Gap(
        OFFERS,
        ("wire.upgrade_with_a_body",),
        FRAMEWORKS,
        "Expecting value|Assam",
        UVICORN,
    ),
    Gap(
        OFFERS,
        ("wire.body_behind_an_offer",),
        FRAMEWORKS,
        "what was smuggled is answered",
        UVICORN,
    ),
    Gap(
        "uvicorn serves requests that name no host, and such as name two.",
        ("wire.hosts",),
        FRAMEWORKS,
        "answered (401|200)",
        UVICORN,
    ),
    Gap(
        "uvicorn drops the connection without a code.",
        ("sockets.exception",),
        ("bare", "fastapi", "starlette"),
        "closed with None",
        UVICORN,
    ),
    Gap(
        "The framework lets the exception out, which uvicorn takes for an application that speaks no lifespan.",
        ("life.end_that_fails",),
        ("blacksheep",),
        "tells",
        UVICORN,
    ),
    # -- the frameworks', under either server --
    Gap(
        "The framework has no background tasks.",
        ("answers.background", "records.line_of_a_background_task"),
        ("django", "blacksheep"),
        "404",
    ),
    Gap(
        READS_WHOLE,
        ("bodies.length_in_pieces", "bodies.chunks_in_pieces", "ends.gone_while_sending"),
        ("django",),
        "noted is None",
    ),
    Gap(READS_WHOLE, ("bodies.back_pressure_in",), ("django",), "33554432 bytes were taken"),
    Gap(READS_WHOLE, ("bodies.early_answer",), ("django",), "no answer comes"),
    Gap(
        "Quart takes a body into memory as fast as it comes, up to its `MAX_CONTENT_LENGTH`, which is lifted here.",
        ("bodies.back_pressure_in",),
        ("quart",),
        "33554432 bytes were taken",
    ),
    Gap(
        "The framework asks for the body before the handler does.",
        ("bodies.expect_nothing",),
        ("django", "quart", "falcon"),
        "100 == 401",
    ),
    Gap(
        "Falcon takes the end of the connection for the end of the body: a handler that does not compare what it has "
        "read with the length takes a part for the whole.",
        ("ends.gone_while_sending",),
        ("falcon",),
        "noted is 1000",
    ),
    Gap(
        "The framework lets the handler go on; only Django and Quart stop it. Under `holdfast run` it is stopped.",
        ("ends.cancelled_while_waiting",),
        ("bare", "fastapi", "starlette", "litestar", "falcon", "blacksheep"),
        "noted is 'waits'",
        UVICORN,
    ),
    Gap(
        "Django serves no WebSockets by itself. Channels does, which is not part of this grid.",
        (
            *("sockets.echo", "sockets.subprotocol", "sockets.denied", "sockets.closed_by_the_server"),
            *("sockets.exception", "sockets.closed_by_the_client", "sockets.vanished", "sockets.line", "sockets.route"),
            *("sockets.line_of_a_denial", "sockets.line_of_an_exception", "life.websocket_below"),
        ),
        ("django",),
        "500",
    ),
    Gap("Litestar closes with 4500, a code of its own.", ("sockets.exception",), ("litestar",), "closed with 4500"),
    Gap("Quart closes with 1000, as if all were well.", ("sockets.exception",), ("quart",), "closed with 1000"),
    Gap(
        "Quart cancels the handler, and keeps the code to itself.",
        ("sockets.closed_by_the_client",),
        ("quart",),
        "told: cancelled",
    ),
    Gap(
        "Django speaks no lifespan. What is to be done at the start is done as it is imported, and nothing at the end.",
        ("life.start_and_end", "life.end_that_fails", "life.end_that_fails_with_1"),
        ("django",),
        "assert",
    ),
    Gap(
        "Falcon does not take the root path off the path, and so finds no route.",
        (
            *("life.routes_below", "life.mounted_below", "life.websocket_below", "life.path_below"),
            *("life.address_below", "life.route_below"),
        ),
        ("falcon",),
        "404|403|None",
    ),
    Gap(
        "BlackSheep looks for what is mounted in a path that still has the root path before it.",
        ("life.mounted_below",),
        ("blacksheep",),
        "404",
    ),
    # -- the frameworks', in what Holdfast sees of them --
    Gap(
        NO_ROUTE,
        ("records.route", "records.route_of_the_mounted"),
        ("bare", "django", "quart", "falcon", "blacksheep"),
        "None",
    ),
    Gap(NO_ROUTE, ("sockets.route",), ("bare", "quart", "falcon", "blacksheep"), "None"),
    Gap(NO_ROUTE, ("life.route_below",), ("bare", "django", "quart", "blacksheep"), "None"),
    Gap(
        "Litestar leaves no template for what is mounted in it, and hands it a copy of the scope.",
        ("records.route_of_the_mounted",),
        ("litestar",),
        "None",
    ),
    Gap(
        "Litestar answers exceptions itself, and logs them in debug mode only, unless its `LoggingConfig` says "
        '`log_exceptions="always"`. Then they are found under the ID.',
        ("records.line_of_an_exception", "records.lines_of_the_framework"),
        ("litestar",),
        r"the shelf fell down|assert \[\]",
    ),
    Gap(
        "The framework handles the exception and closes with a code that says nothing of it, so the line says `ok`.",
        ("sockets.line_of_an_exception",),
        ("litestar", "quart"),
        "'ok' == 'failed'",
    ),
    Gap(
        "Falcon's `sync_to_async` calls functions in threads without the context. `asyncio.to_thread` takes it along.",
        ("records.line_of_a_thread",),
        ("falcon",),
        "from a thread",
    ),
    Gap(
        "BlackSheep answers 404 where a path has a route, but none for the method.",
        ("records.problem_of_405",),
        ("blacksheep",),
        "404",
    ),
    Gap(
        "BlackSheep logs it as an error itself.",
        ("ends.no_error_of_who_left",),
        ("blacksheep",),
        "MessageAborted|Unhandled exception",
    ),
)


def explained() -> Iterator[tuple[tuple[str, str, str], int]]:
    """Each place in the grid that does not hold, as (framework, server, cell), with the number of its gap, from 1."""
    for number, gap in enumerate(GAPS, 1):
        for cell in gap.cells:
            for framework in gap.frameworks:
                for server in gap.servers:
                    yield (framework, server, cell), number


NUMBERS = dict(explained())


def applies(framework: str, server: str, cell: Cell) -> bool:
    """Whether a cell is looked at there at all."""
    return framework in cell.frameworks and (server == "holdfast" or not cell.ours)
