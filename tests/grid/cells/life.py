"""The life of the process: its start and end, a drain, a root path. These cells have processes of their own."""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from grid.cell import Group
from grid.cells.sockets import talking
from grid.client import Answer, eventually, request
from grid.shop import Shop, opened

life = Group("Start and end")
draining = Group("Drain")
below = Group("Below a root path")

STREAMS = 6


@dataclass
class Life:
    """What one process did, from its start to its end."""

    code: int = -1
    said: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    lines: dict[str, dict] = field(default_factory=dict)
    echoed: str = ""

    def tells(self, text: str) -> int:
        """In how many lines a text is."""
        return len([line for line in self.said if text in line])


def lived(shop: Shop, how: str, live: Callable[[Shop, Life], None], *arguments: str, **environ: str) -> Life:
    """A life of the same shop, lived once for all cells that ask about it."""
    if how not in shop.lives:
        found = shop.lives[how] = Life()
        with opened(shop.framework, shop.server, *arguments, ready="SHOP_START" not in environ, **environ) as own:
            live(own, found)
            found.code = own.running.ended()
            found.said = own.told
    found = shop.lives[how]
    assert isinstance(found, Life)
    return found


def stopped(shop: Shop, found: Life) -> None:
    """Streams are under way when the process is told to stop."""
    with ExitStack() as stack:
        connections = [stack.enter_context(shop.connect()) for _ in range(STREAMS)]
        for connection in connections:
            connection.send(request("GET", "/slow"))
        for connection in connections:
            assert connection.head().status == 200
            assert connection.piece() == b"begun\n"
        shop.running.signal(signal.SIGTERM)
        found.bodies = [connection.rest() for connection in connections]


# -- start and end --


@life.cell("what the application does at its start and end is run")
def start_and_end(shop: Shop) -> None:
    found = two_workers(shop)
    assert (found.tells("the shop is open"), found.tells("the shop is closed")) == (2, 2)


@life.cell("an application that speaks no lifespan is served", frameworks=("bare", "django"))
def no_lifespan(shop: Shop) -> None:
    def live(own: Shop, found: Life) -> None:
        found.answers["item"] = own.get("/items/7")
        own.running.signal(signal.SIGTERM)

    assert lived(shop, "no lifespan", live, SHOP_LIFESPAN="none").answers["item"].status == 200


def failing_start(shop: Shop) -> Life:
    return lived(shop, "failing start", lambda own, found: None, SHOP_START="fails")


@life.cell("a start that fails ends the process, and the reason is told")
def start_that_fails(shop: Shop) -> None:
    found = failing_start(shop)
    assert found.code not in {0, -1}
    assert found.tells("the shelves are missing")


@life.cell("... once, with the exit code 3", ours=True)
def start_that_fails_with_3(shop: Shop) -> None:
    found = failing_start(shop)
    assert found.code == 3
    told = [line for line in found.said if "the shelves are missing" in line]
    by_the_server = [line for line in told if '"logger":"uvicorn' in line or '"logger":"holdfast' in line]
    assert told
    assert len(by_the_server) <= 1, "".join(told)


@life.cell("an end that fails is told")
def end_that_fails(shop: Shop) -> None:
    assert under_a_path(shop).tells("the door is stuck")


@life.cell("... with the exit code 1", ours=True)
def end_that_fails_with_1(shop: Shop) -> None:
    assert under_a_path(shop).code == 1


# -- drain --


def one_process(shop: Shop) -> Life:
    return lived(shop, "one process", stopped)


def two_workers(shop: Shop) -> Life:
    def live(own: Shop, found: Life) -> None:
        serves = '"event":"worker serves"' if own.ours else "Application startup complete"
        eventually(lambda: len([line for line in own.told if serves in line]) == 2, "both serve", own.patience_s)
        stopped(own, found)

    return lived(shop, "two workers", live, "--workers", "2")


@draining.cell("one process: what is under way is answered whole")
def drain_of_one(shop: Shop) -> None:
    assert one_process(shop).bodies == [b"done\n"] * STREAMS


@draining.cell("... and the exit code is 0", ours=True)
def exit_of_one(shop: Shop) -> None:
    assert one_process(shop).code == 0


@draining.cell("two workers: what is under way is answered whole")
def drain_of_two(shop: Shop) -> None:
    assert two_workers(shop).bodies == [b"done\n"] * STREAMS


@draining.cell("... and the exit code is 0")
def exit_of_two(shop: Shop) -> None:
    assert two_workers(shop).code == 0


# -- a root path --


def under_a_path(shop: Shop) -> Life:
    """Below a root path; it is also the life whose end fails."""

    def live(own: Shop, found: Life) -> None:
        for path in ("/items/7", "/request", "/url", "/sub/hello/world", "/nowhere"):
            found.answers[path] = own.get(path)
        if own.ours:
            found.lines = {path: own.line(answer.id) for path, answer in found.answers.items()}
        try:
            with talking(own, f"/ws/{own.key()}") as socket:
                socket.send("tea")
                found.echoed = str(socket.recv(timeout=own.patience_s))
        except AssertionError as error:
            found.echoed = str(error)
        own.running.signal(signal.SIGTERM)

    return lived(shop, "under a path", live, "--root-path", "/shop", SHOP_STOP="fails")


@below.cell("routes are found as without one")
def routes_below(shop: Shop) -> None:
    answers = under_a_path(shop).answers
    assert {path: answers[path].status for path in ("/items/7", "/nowhere")} == {"/items/7": 200, "/nowhere": 404}


@below.cell("a mounted application is found")
def mounted_below(shop: Shop) -> None:
    assert under_a_path(shop).answers["/sub/hello/world"].status == 200


@below.cell("a WebSocket is found")
def websocket_below(shop: Shop) -> None:
    assert under_a_path(shop).echoed == "tea"


@below.cell("the application sees the path whole")
def path_below(shop: Shop) -> None:
    answer = under_a_path(shop).answers["/request"]
    assert (answer.status, answer.json.get("path")) == (200, "/shop/request")


@below.cell("an address that the framework makes begins with it")
def address_below(shop: Shop) -> None:
    answer = under_a_path(shop).answers["/url"]
    assert answer.status == 200
    assert answer.json["url"].removeprefix("http://shop.test") == "/shop/items/7"


@below.cell("the line has the whole path", ours=True)
def line_below(shop: Shop) -> None:
    assert under_a_path(shop).lines["/items/7"]["path"] == "/shop/items/7"


@below.cell("the route in the line is as without one", ours=True)
def route_below(shop: Shop) -> None:
    assert under_a_path(shop).lines["/items/7"]["route"] == "/items/{item_id}"
