"""Rows from everything that has rows: in which thread or task they are walked through, and when they are closed."""

import asyncio
import collections
import contextlib
import contextvars
import dataclasses
import functools
import sqlite3
import threading
import time
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from typing import ClassVar, NamedTuple

import msgspec
import pytest
import sqlalchemy as sa
from exporting import Client, asked, text
from waiting import until

from holdfast import exports
from holdfast.exports import ColumnsMismatch, SourceUnsuited
from holdfast.parts.exports import producing

pytestmark = pytest.mark.anyio


class Tea(NamedTuple):
    name: str
    cups: int


@dataclasses.dataclass
class DataTea:
    name: str
    cups: int
    kinds: ClassVar[list[str]] = ["black"]


@dataclasses.dataclass(slots=True, frozen=True)
class SlottedTea:
    name: str
    cups: int


class StructTea(msgspec.Struct):
    name: str
    cups: int


class PlainTea:
    def __init__(self, name: str, cups: int) -> None:
        self.name = name
        self.cups = cups


CSV = '"name","cups"\n"Assam",3\n"Sencha",-2\n'
LOOSE = collections.namedtuple("LOOSE", "name cups")  # noqa: PYI024 - as old code has it


def sqlite_rows(factory=None) -> list:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = factory
    with closing(connection):
        return connection.execute("SELECT 'Assam' AS name, 3 AS cups UNION ALL SELECT 'Sencha', -2").fetchall()


ENDLESS = "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT a FROM n"


def alchemy_rows() -> sa.CursorResult:
    connection = sa.create_engine("sqlite://").connect()
    return connection.execute(sa.text("SELECT 'Assam' AS name, 3 AS cups UNION ALL SELECT 'Sencha', -2"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: [{"name": "Assam", "cups": 3}, {"cups": -2, "name": "Sencha"}],
        lambda: [collections.OrderedDict(name="Assam", cups=3), collections.ChainMap({"name": "Sencha", "cups": -2})],
        lambda: [Tea("Assam", 3), Tea("Sencha", -2)],
        lambda: [LOOSE("Assam", 3), LOOSE("Sencha", -2)],
        lambda: [DataTea("Assam", 3), DataTea("Sencha", -2)],
        lambda: [SlottedTea("Assam", 3), SlottedTea("Sencha", -2)],
        lambda: [StructTea("Assam", 3), StructTea("Sencha", -2)],
        lambda: sqlite_rows(sqlite3.Row),
        lambda: alchemy_rows().fetchall(),
        lambda: alchemy_rows().mappings().fetchall(),
    ],
    ids=range(10),
)
def test_rows_that_have_names_tell_the_columns(make):
    assert text(exports.stream(make(), form="csv")) == CSV
    assert text(exports.stream(iter(make()), form="csv")) == CSV
    assert text(exports.stream(make, form="csv")) == CSV
    assert text(exports.stream(make, form="ndjson")).startswith('{"name":"Assam","cups":3}\n')


@pytest.mark.parametrize(
    "make", [alchemy_rows, lambda: alchemy_rows().mappings(), lambda: alchemy_rows().yield_per(1)], ids=range(3)
)
def test_a_result_of_sqlalchemy_tells_the_columns_and_is_closed(make):
    made: list[sa.CursorResult] = []

    def rows():
        made.append(make())
        return made[0]

    assert text(exports.stream(rows, form="csv")) == CSV
    assert text(exports.stream(make, form="ndjson")).startswith('{"name":"Assam","cups":3}\n')
    assert made[0].closed


@pytest.mark.parametrize(
    "rows",
    [
        [("Assam", 3), ("Sencha", -2)],
        [["Assam", 3], ["Sencha", -2]],
        sqlite_rows(),
        {"a": ("Assam", 3), "b": ("Sencha", -2)}.values(),
        (("Assam", 3), ("Sencha", -2)),
        collections.deque([("Assam", 3), ("Sencha", -2)]),
        [PlainTea("Assam", 3), PlainTea("Sencha", -2)],
        [{"name": "Assam", "cups": 3, "secret": 1}, {"name": "Sencha", "cups": -2}],
        [StructTea("Assam", 3), PlainTea("Sencha", -2)],
    ],
    ids=range(9),
)
def test_columns_that_are_described_are_taken_from_any_row(rows):
    assert text(exports.stream(rows, columns=["name", "cups"], form="csv")) == CSV
    assert text(exports.stream(iter(rows), columns=Tea, form="csv")) == CSV


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ([("Assam", 3)], None),
        ([["Assam", 3]], None),
        (["Assam"], None),
        (["Assam"], ["name"]),
        ([b"Assam"], ["name"]),
        ([3], ["name"]),
        ([None], ["name"]),
        ([{}], None),
        ([{"name": "Assam"}, {"name": "Sencha", "cups": 2}], None),
        ([{"name": "Assam", "cups": 3}, {"name": "Sencha"}], None),
        ([{"name": "Assam"}], ["name", "cups"]),
        ([{1: "Assam"}], None),
        ([PlainTea("Assam", 3)], None),
        ([PlainTea("Assam", 3)], ["name", "price"]),
        ([Tea("Assam", 3)], ["name"]),
        ([("Assam", 3), {"name": "Sencha", "cups": 3, "price": 1}], ["name", "cups"]),
        ([{"name": "Assam", "cups": 3}, ("Sencha", 3)], None),
    ],
    ids=range(17),
)
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_rows_that_do_not_fit_their_columns_are_a_mismatch_and_never_a_guess(rows, columns, form):
    with pytest.raises(ColumnsMismatch):
        text(exports.stream(rows, columns=columns, form=form))


@pytest.mark.parametrize("rows", [3, None, object(), lambda: 3, lambda: None])
def test_what_has_no_rows_is_unsuited(rows):
    with pytest.raises(SourceUnsuited):
        text(exports.stream(rows, columns=["a"], form="csv"))


def test_two_columns_of_one_name_are_a_mismatch_wherever_they_come_from():
    twice = "SELECT 1 AS a, 2 AS a"
    engine = sa.create_engine("sqlite://")
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    for rows in (connection.execute(twice), alchemy_rows().connection.execute(sa.text(twice)).fetchall()):
        with pytest.raises(ColumnsMismatch, match="more than one column"):
            text(exports.stream(rows, form="ndjson"))
    with pytest.raises(ColumnsMismatch, match="more than one column"):
        text(exports.stream(twice, bind=engine, form="csv"))
    connection.close()


def as_dict(cursor, row):
    return dict(zip([described[0] for described in cursor.description], row, strict=True))


def as_object(cursor, row):
    return PlainTea(*row)


@pytest.mark.parametrize(
    "factory", [None, sqlite3.Row, as_dict, as_object, lambda cursor, row: list(row)], ids=range(5)
)
@pytest.mark.parametrize("dialect", [exports.Csv(), exports.FOR_MACHINES], ids=["people", "machines"])
def test_a_cursor_gives_its_values_whatever_it_makes_of_its_rows(factory, dialect):
    def rows():
        connection = sqlite3.connect(":memory:")
        connection.row_factory = factory
        return connection.execute("SELECT 'Assam' AS name, 3 AS cups UNION ALL SELECT 'Sencha', -2")

    assert text(exports.stream(rows, form="csv", csv=dialect)) == CSV
    assert text(exports.stream(rows, columns=Tea, form="ndjson")).startswith('{"name":"Assam","cups":3}\n')


@pytest.mark.parametrize("columns", [["a"], ["a", "b", "c"]])
@pytest.mark.parametrize("how", [{"form": "csv", "csv": exports.FOR_MACHINES}, {"form": "csv"}, {"form": "ndjson"}])
def test_columns_that_are_fewer_or_more_than_the_cursors_are_a_mismatch(columns, how):
    def rows():
        return sqlite3.connect(":memory:").execute("SELECT 1 AS x, 2 AS y")

    with pytest.raises(ColumnsMismatch, match="2 columns"):
        text(exports.stream(rows, columns=columns, **how))


# -- in which thread --


class Noted:
    """Rows that note in which threads they were made, advanced, and closed, and with what context."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count = count
        self.error = error
        self.threads: list[tuple[str, int]] = []
        self.seen: list[str] = []
        self.closed = threading.Event()

    def note(self, what: str) -> None:
        self.threads.append((what, threading.get_ident()))
        self.seen.append(who.get())

    def rows(self):
        try:
            self.note("open")
            for number in range(self.count):
                self.note("row")
                yield (number,)
            if self.error is not None:
                raise self.error
        finally:
            self.note("close")
            self.closed.set()

    def one_thread(self) -> int:
        found = {thread for _, thread in self.threads}
        assert len(found) == 1, self.threads
        return found.pop()


who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


async def test_a_generator_is_walked_and_closed_in_one_thread_with_the_callers_context():
    noted = Noted(5000)
    who.set("Ann")
    answer = await asked(exports.stream(noted.rows, columns=["n"], form="csv"))
    assert answer.body.count(b"\n") == 5001
    assert noted.one_thread() != threading.get_ident()
    assert noted.threads[-1][0] == "close"
    assert set(noted.seen) == {"Ann"}


async def test_a_generator_is_closed_in_its_thread_when_the_client_leaves():
    noted = Noted(10**9)
    client = Client()
    asking = asyncio.create_task(client.ask(exports.stream(noted.rows, columns=["n"], form="csv")))
    await client.begun.wait()
    client.left.set()
    answer = await asking
    assert noted.closed.is_set(), "it is closed by the time the answer is over"
    assert not answer.ended
    noted.one_thread()


async def test_a_generator_that_sits_in_a_call_is_closed_as_soon_as_that_returns():
    begun, may_go, closed = threading.Event(), threading.Event(), threading.Event()

    def rows():
        try:
            yield (1,)
            begun.set()
            assert may_go.wait(20)
            yield (2,)
        finally:
            closed.set()

    client = Client()
    asking = asyncio.create_task(client.ask(exports.stream(rows, columns=["n"], form="csv")))
    await client.begun.wait()
    await until(begun.is_set)
    client.left.set()
    await asyncio.sleep(0)
    assert not closed.is_set()
    may_go.set()
    await asking
    assert closed.is_set()


async def test_a_generator_without_a_function_is_walked_too_and_closed():
    noted = Noted(3)
    await asked(exports.stream(noted.rows(), columns=["n"], form="csv"))
    assert noted.closed.is_set()
    noted.one_thread()


async def test_a_source_that_does_not_end_is_left_alone_after_a_while_and_closed_once_it_ends(monkeypatch, caplog):
    monkeypatch.setattr(producing, "_STOP_S", 0.2)
    begun, may_go, closed = threading.Event(), threading.Event(), threading.Event()

    def rows():
        try:
            yield (1,)
            begun.set()
            assert may_go.wait(20)
            yield (2,)
        finally:
            closed.set()

    client = Client()
    asking = asyncio.create_task(client.ask(exports.stream(rows, columns=["n"], form="csv")))
    await until(begun.is_set)
    client.left.set()
    await asking
    assert "goes on although nobody reads it" in caplog.text
    assert not closed.is_set()
    may_go.set()
    await until(closed.is_set)


async def test_a_context_manager_around_rows_is_left_when_they_are_read_and_not_when_the_client_has_them():
    left = threading.Event()

    @contextmanager
    def rows():
        try:
            yield ((number,) for number in range(1000))
        finally:
            left.set()

    client = Client()
    client.reading.clear()
    asking = asyncio.create_task(client.ask(exports.stream(rows, columns=["n"], form="csv")))
    await until(left.is_set)
    assert client.answer.status == 0, "the client has read nothing yet"
    client.reading.set()
    assert (await asking).body.count(b"\n") == 1001


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("marked", [False, True])
async def test_an_export_whose_context_manager_fails_at_its_end_is_not_whole(form, marked):
    @contextmanager
    def rows():
        yield [(1,), (2,)]
        raise RuntimeError("two rows are missing")

    client = Client()
    with pytest.raises(RuntimeError, match="two rows are missing"):
        await client.ask(exports.stream(rows, columns=["n"], form=form, marked=marked))
    assert not client.answer.ended
    assert b"#end" not in client.answer.body
    assert not client.answer.body.endswith(b"]\n")


async def test_sqlite_is_opened_walked_and_closed_in_the_exports_thread():
    opened: list[sqlite3.Connection] = []

    def rows():
        opened.append(sqlite3.connect(":memory:"))  # which no other thread may use
        return closing_both(opened[0].execute(f"SELECT a, 'x' AS b FROM ({ENDLESS} LIMIT 3000)"))

    answer = await asked(exports.stream(rows, form="csv"))
    assert answer.body.startswith(b'"a","b"\n1,"x"\n2,')
    assert answer.body.count(b"\n") == 3001


@contextmanager
def closing_both(cursor: sqlite3.Cursor):
    with closing(cursor.connection):
        yield cursor


async def test_a_query_of_sqlite_that_does_not_end_is_interrupted_when_the_client_leaves():
    closed = threading.Event()

    @contextmanager
    def rows():
        with closing(sqlite3.connect(":memory:")) as connection:
            yield connection.execute(f"SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT count(*) FROM ({ENDLESS})")
        closed.set()

    client = Client()
    asking = asyncio.create_task(client.ask(exports.stream(rows, form="csv")))
    await client.begun.wait()
    began = time.monotonic()
    client.left.set()
    await asking
    assert closed.is_set()
    assert time.monotonic() - began < 2


async def test_a_cursor_whose_connection_cannot_be_interrupted_any_more_ends_all_the_same():
    class Cursor:
        description = (("n",),)

        def __init__(self) -> None:
            self.connection = self
            self.may_go = threading.Event()
            self.closed = False
            self.interrupted = 0

        def fetchmany(self, most):
            assert self.interrupted or not self.may_go.is_set()
            if self.interrupted:
                return []
            self.may_go.set()
            while not self.interrupted:
                time.sleep(0.001)
            return [(1,)]

        def interrupt(self):
            self.interrupted += 1
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")

        def close(self):
            self.closed = True

    cursor = Cursor()
    client = Client()
    asking = asyncio.create_task(client.ask(exports.stream(cursor, form="csv")))
    await until(cursor.may_go.is_set)
    client.left.set()
    await asking
    assert cursor.closed


async def test_a_cursor_that_was_given_back_is_never_interrupted_again():
    class Cursor:
        description = (("n",),)

        def __init__(self) -> None:
            self.connection = self
            self.given_back = threading.Event()
            self.strayed = False

        def fetchmany(self, most):
            time.sleep(0.002)
            return [(1,)]

        def interrupt(self):
            time.sleep(0.002)
            self.strayed = self.strayed or self.given_back.is_set()

        def close(self):
            self.given_back.set()
            time.sleep(0.02)  # somebody else has it by now

    for _ in range(5):
        cursor = Cursor()
        client = Client()
        asking = asyncio.create_task(client.ask(exports.stream(cursor, form="csv")))
        await client.begun.wait()
        client.left.set()
        await asking
        assert cursor.given_back.is_set()
        assert not cursor.strayed


# -- on the loop --


class Async:
    """Asynchronous rows that note their task."""

    def __init__(self, count: int, error: BaseException | None = None) -> None:
        self.count = count
        self.error = error
        self.tasks: set[object] = set()
        self.closed = False

    async def rows(self):
        self.tasks.add(asyncio.current_task())
        try:
            for number in range(self.count):
                self.tasks.add(asyncio.current_task())
                yield (number,)
                if number % 100 == 0:
                    await asyncio.sleep(0)
            if self.error is not None:
                raise self.error
        finally:
            self.tasks.add(asyncio.current_task())
            await asyncio.sleep(0)
            self.closed = True


@pytest.mark.parametrize("form", ["csv", "ndjson", "json"])
async def test_an_async_generator_is_walked_and_closed_in_one_task(form):
    rows = Async(3000)
    answer = await asked(exports.stream(rows.rows, columns=["n"], form=form))
    assert answer.body.count(b"2999") == 1
    assert answer.body.count(b"\n") >= 3000
    assert rows.closed
    assert len(rows.tasks) == 1
    assert asyncio.current_task() not in rows.tasks


async def test_an_async_generator_is_closed_in_its_task_when_the_client_leaves():
    rows = Async(10**9)
    client = Client()
    asking = asyncio.create_task(client.ask(exports.stream(rows.rows(), columns=["n"], form="csv")))
    await client.begun.wait()
    client.left.set()
    await asking
    assert rows.closed
    assert len(rows.tasks) == 1


@pytest.mark.parametrize("how", ["generator", "function", "iterator", "awaitable", "manager function"])
async def test_rows_come_from_everything_asynchronous(how):
    async def rows():
        yield {"n": 1}
        yield {"n": 2}

    class Iterator:
        def __init__(self):
            self.inner = rows()

        def __aiter__(self):
            return self

        async def __anext__(self):
            return await anext(self.inner)

    async def given():
        return rows()

    @asynccontextmanager
    async def around():
        async with aclosing(rows()) as inner:
            yield inner

    source = {
        "generator": rows(),
        "function": rows,
        "iterator": Iterator(),
        "awaitable": given,
        "manager function": around,
    }[how]
    assert (await asked(exports.stream(source, form="csv"))).body == b'"n"\n1\n2\n'


async def test_slow_rows_are_handed_on_as_they_come():
    may_go = asyncio.Event()

    async def rows():
        yield ("first",)
        await may_go.wait()
        yield ("second",)

    client = Client()
    asking = asyncio.create_task(client.ask(exports.stream(rows, columns=["n"], form="ndjson")))
    await client.begun.wait()
    assert not asking.done()
    may_go.set()
    assert (await asking).body == b'{"n":"first"}\n{"n":"second"}\n'


async def test_an_async_source_is_not_read_far_ahead_of_a_reader_that_waits():
    read = 0

    async def rows():
        nonlocal read
        while True:
            read += 1
            yield ("x" * 1000,)

    settings = exports.ExportSettings(spool_bytes=0, hold_s=20)
    client = Client()
    client.reading.clear()
    asking = asyncio.create_task(client.ask(exports.stream(rows, columns=["n"], form="csv", settings=settings)))
    await settled(lambda: read)
    assert read < 3000
    client.left.set()
    await asking


async def settled(value) -> None:
    """Wait until `value` has not changed for a while."""
    last, since = None, time.monotonic()
    deadline = time.monotonic() + 10
    while time.monotonic() - since < 0.3:
        assert time.monotonic() < deadline, "it never settled"
        await asyncio.sleep(0.02)
        if value() != last:
            last, since = value(), time.monotonic()


# -- what fails --


@pytest.mark.parametrize("kind", [Noted, Async])
@pytest.mark.parametrize("marked", [True, False])
async def test_an_error_in_the_middle_is_raised_and_the_answer_has_no_end(kind, marked):
    rows = kind(3000, ValueError("secret"))
    client = Client()
    with pytest.raises(ValueError, match="secret"):
        await client.ask(exports.stream(rows.rows, columns=["n"], form="csv", marked=marked))
    assert client.answer.status == 200
    assert not client.answer.ended
    assert b"secret" not in client.answer.body
    assert b"#end" not in client.answer.body


@pytest.mark.parametrize("kind", [Noted, Async])
async def test_an_error_before_the_first_row_is_raised_before_anything_is_sent(kind):
    client = Client()
    with pytest.raises(ValueError, match="secret"):
        await client.ask(exports.stream(kind(0, ValueError("secret")).rows, columns=["n"], form="csv"))
    assert client.answer.status == 0


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("form", ["csv", "json"])
async def test_rows_that_are_given_up_by_their_source_are_never_taken_for_all(error, form):
    def rows():
        yield (1,)
        raise error

    client = Client()
    with pytest.raises(RuntimeError, match="given up"):
        await client.ask(exports.stream(rows, columns=["n"], form=form))
    assert not client.answer.ended


async def test_an_async_generator_that_waits_for_what_is_cancelled_is_not_whole():
    async def rows():
        yield (1,)
        yield (2,)
        waited = asyncio.get_running_loop().create_future()
        waited.cancel()
        await waited

    client = Client()
    with pytest.raises(RuntimeError, match="given up"):
        await client.ask(exports.stream(rows, columns=["n"], form="csv", marked=True))
    assert not client.answer.ended
    assert b"#end" not in client.answer.body


async def test_a_stop_iteration_that_escapes_is_an_error_and_no_end():
    class Rows:
        def __iter__(self):
            return self

        def __next__(self):
            if not hasattr(self, "one"):
                self.one = True
                return (1,)
            return next(iter(()))  # the mistake

    answer = await asked(exports.stream(Rows(), columns=["n"], form="csv"))
    assert answer.body == b'"n"\n1\n', "an iterator that says it is at its end is at its end"

    def generator():
        yield (1,)
        next(iter(()))

    client = Client()
    with pytest.raises(RuntimeError):
        await client.ask(exports.stream(generator, columns=["n"], form="csv"))
    assert not client.answer.ended


@pytest.mark.parametrize("kind", [Noted, Async])
async def test_an_error_in_the_middle_leaves_the_source_closed(kind):
    rows = kind(10, ValueError("x"))
    with contextlib.suppress(ValueError):
        await asked(exports.stream(rows.rows, columns=["n"], form="csv"))
    assert rows.closed if isinstance(rows, Async) else rows.closed.is_set()


# -- how much at once --


async def test_rows_of_ten_megabytes_are_fetched_one_by_one_from_the_first():
    asked_for: list[int] = []

    class Cursor:
        description = (("n",),)
        left = 8

        def fetchmany(self, most):
            asked_for.append(most)
            self.left -= most
            return [("x" * 10_000_000,)] * most if self.left >= 0 else []

        def close(self):
            pass

    answer = await asked(exports.stream(Cursor(), form="csv"))
    assert len(answer.body) > 80_000_000
    assert set(asked_for) == {1}


async def test_small_rows_are_fetched_in_batches_that_are_bounded():
    asked_for: list[int] = []

    class Cursor:
        description = (("n",),)
        left = 20_000

        def fetchmany(self, most):
            asked_for.append(most)
            some = min(most, self.left)
            self.left -= some
            return [(1,)] * some

        def close(self):
            pass

    await asked(exports.stream(Cursor(), form="csv"))
    assert asked_for[0] == 1
    assert max(asked_for) == asked_for[-1] == 64


# -- in pieces, and progress --


async def test_pieces_are_the_answer_and_breaking_off_closes_the_source():
    noted = Noted(200_000)
    async with aclosing(exports.encode(noted.rows, columns=["n"], form="csv")) as pieces:
        assert (await anext(pieces)).startswith(b'"n"\n0\n')
    assert noted.closed.is_set()
    whole = b"".join([piece async for piece in exports.encode(Noted(5000).rows, columns=["n"], form="csv")])
    assert whole == (await asked(exports.stream(Noted(5000).rows, columns=["n"], form="csv"))).body


async def test_progress_is_told_at_the_end_with_all_rows_and_bytes():
    told: list[tuple[int | None, int, bool]] = []
    app = exports.stream(
        Noted(5000).rows, columns=["n"], form="csv", progress=lambda now: told.append((now.rows, now.bytes, now.ended))
    )
    answer = await asked(app)
    assert told[-1] == (5000, len(answer.body), True)


async def test_progress_that_fails_to_be_heard_is_logged_once_and_the_export_is_whole(caplog):
    def tell(_now):
        raise ZeroDivisionError

    answer = await asked(exports.stream(Noted(5000).rows, columns=["n"], form="csv", progress=tell))
    assert answer.ended
    assert answer.body.count(b"\n") == 5001
    logged = [record.exc_info[0] for record in caplog.records if record.name == "holdfast.exports" and record.exc_info]
    assert logged == [ZeroDivisionError]


class AsyncRows:
    """Rows of an object that is called for them."""

    async def __call__(self, first):
        yield (first,)
        yield (2,)


async def by_argument(first):
    async for row in AsyncRows()(first):
        yield row


@pytest.mark.parametrize(
    "rows",
    [functools.partial(by_argument, 1), functools.partial(functools.partial(by_argument), 1)],
    ids=["partial", "partial of partial"],
)
async def test_an_async_generator_may_have_its_arguments_bound_before(rows):
    assert (await asked(exports.stream(rows, columns=["n"], form="csv"))).body == b'"n"\n1\n2\n'


async def test_an_object_that_is_called_may_give_an_async_generator():
    class Called(AsyncRows):
        async def __call__(self):
            async for row in super().__call__(1):
                yield row

    assert (await asked(exports.stream(Called(), columns=["n"], form="csv"))).body == b'"n"\n1\n2\n'


async def test_a_lambda_that_gives_an_async_generator_is_told_what_to_pass_instead():
    with pytest.raises(SourceUnsuited, match="instead of one that calls that"):
        await asked(exports.stream(lambda: by_argument(1), columns=["n"], form="csv"))


@pytest.mark.parametrize("form", ["xlsx", "parquet"])
async def test_few_large_rows_are_fetched_at_once_though_little_comes_of_them(form):
    asked_for: list[int] = []

    class Cursor:
        description = (("n",),)
        left = 100

        def fetchmany(self, most):
            asked_for.append(most)
            count = min(most, self.left)
            self.left -= count
            return [("x" * 200_000,)] * count

        def close(self):
            pass

    await asked(exports.stream(Cursor(), columns={"n": str}, form=form))
    assert max(asked_for) <= 2


async def test_one_export_may_be_answered_twice_where_its_rows_are_there_twice():
    app = exports.stream(Noted(10).rows, columns=["n"], form="csv")
    assert (await asked(app)).body == (await asked(app)).body
