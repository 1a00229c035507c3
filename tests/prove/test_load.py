"""The generator, against a server that answers as it is told."""

import asyncio
import contextlib
import itertools
import socket
import threading

import pytest

from holdfast.decide.latencies import Outcome, Result, quantile, tally
from holdfast.prove.load import Job, Phase, Template, offered

REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def right(number: int) -> bytes:
    body = b"done %d" % number
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Stub:
    """A server in a thread of its own, with a loop of its own, that answers as it is told."""

    def __init__(self, answer=right, delay_s: float = 0.0, answers: int = 0) -> None:
        self.answer = answer
        self.answers = answers
        self.delay_s = delay_s
        self.heads: list[bytes] = []
        self.clients: set[str] = set()
        self.connections = 0
        self.hung_up = 0
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._talk, "127.0.0.1", 0, backlog=2000))
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _talk(self, reader, writer) -> None:
        self.connections += 1
        self.clients.add(writer.get_extra_info("peername")[0])
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            for number in itertools.count():
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if self.answers and number == self.answers:
                    return
                await asyncio.sleep(self.delay_s)
                answer = self.answer(int(head.split(b"n=", 1)[1].split(b" ", 1)[0]))
                if answer is None:
                    self.hung_up += not await reader.read()
                    return
                writer.write(answer)


class Sink(Stub):
    """It reads bodies, and counts what came."""

    sizes: list[int]

    async def _talk(self, reader, writer) -> None:
        self.sizes = getattr(self, "sizes", [])
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.sizes.append(len(await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def run(port: int, kind: str, *phases: tuple[float, float], **more) -> Result:
    marked = (("Holdfast-Priority", "critical"),)
    templates = [
        Template("/asked?n={n}", weight=1, critical=True, headers=marked, exactly=b"done {n}"),
        Template("/asked?n={n}", weight=9, exactly=b"done {n}"),
    ]
    phases = [Phase(*one) for one in phases]
    return asyncio.run(offered(Job(port, more.pop("templates", templates), phases, kind, **more)))


def counts(record: Result) -> set[int]:
    return {one.outcome for one in record.requests}


# -- what it is for: nothing that waits is left out --


def test_waiting_for_one_of_the_kept_connections_counts():
    with Stub(delay_s=0.02) as stub:
        record = run(stub.port, "kept", (2.0, 100.0), pool=1, timeout_s=5.0)
    took = [one.took for one in record.requests]
    assert stub.connections == record.opened == 1
    assert counts(record) <= {Outcome.GOOD, Outcome.TIMED_OUT}
    assert quantile(took, 0.5) > 0.3  # twice as much is asked as one connection can bring, for two seconds


def test_it_is_on_time_or_says_how_late_it_was():
    with Stub() as stub:
        record = run(stub.port, "new", (1.0, 200.0))
    assert len(record.late) == len(record.requests)
    assert min(record.late) >= 0
    late = Result(record.requests, [0.006] * 100, [], 0, 0, 0.0)
    assert late.void
    assert not late._replace(late=[0.006, *[0.0] * 199]).void


# -- kinds of clients --


def test_kept_connections_are_never_more_than_the_pool():
    with Stub(delay_s=0.05) as stub:
        record = run(stub.port, "kept", (1.5, 300.0), pool=7)
    assert stub.connections == record.most_open == 7
    assert Outcome.GOOD in counts(record)


def test_a_late_answer_on_a_kept_connection_is_thrown_away_and_the_connection_used_again():
    with Stub(delay_s=0.5) as stub:
        record = run(stub.port, "kept", (2.0, 20.0), pool=2, timeout_s=0.3)
    assert counts(record) == {Outcome.TIMED_OUT}
    assert stub.connections == 2
    assert len(stub.heads) > 2


def test_each_request_has_a_connection_of_its_own_where_they_are_new():
    with Stub() as stub:
        record = run(stub.port, "new", (1.0, 100.0), timeout_s=5.0)
    assert counts(record) == {Outcome.GOOD}
    assert stub.connections == record.opened == len(record.requests)


def test_connections_come_from_one_address_or_each_from_its_own():
    with Stub() as stub:
        run(stub.port, "new", (0.5, 100.0), timeout_s=5.0)
        assert stub.clients == {"127.0.0.1"}
        record = run(stub.port, "new", (0.5, 100.0), timeout_s=5.0, apart=True)
    assert counts(record) == {Outcome.GOOD}
    assert len(stub.clients) == 1 + record.opened


def test_who_gives_up_closes_the_connection_and_connects_anew():
    with Stub(answer=lambda _: None) as stub:
        record = run(stub.port, "anew", (1.0, 50.0), timeout_s=0.2)
        assert counts(record) == {Outcome.TIMED_OUT}
        assert stub.connections == record.opened == len(record.requests)
    assert stub.hung_up > 0
    assert min(one.took for one in record.requests) >= 0.2


def test_who_is_answered_uses_the_connection_again():
    with Stub() as stub:
        record = run(stub.port, "anew", (1.0, 50.0), timeout_s=5.0)
    assert counts(record) == {Outcome.GOOD}
    assert stub.connections < len(record.requests) / 2


def test_a_kept_connection_that_the_server_closes_as_it_is_used_is_no_failure():
    with Stub(answers=1) as stub:
        record = run(stub.port, "kept", (0.5, 40.0), pool=2, timeout_s=5.0)
    assert counts(record) == {Outcome.GOOD}
    assert stub.connections >= len(record.requests)
    assert len(stub.heads) > len(record.requests)


# -- outcomes --


def test_a_refusal_is_counted_and_timed():
    with Stub(answer=lambda number: right(number) if number % 2 else REFUSAL) as stub:
        record = run(stub.port, "anew", (1.0, 100.0), timeout_s=5.0)
    found = tally(record, 0.0, 1.0)
    assert found.good + found.refused == found.asked == len(record.requests)
    assert abs(found.good - found.refused) <= 1
    assert 0 < found.refusal_s[0] <= found.refusal_s[1]
    assert found.goodput == found.good


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ndone x", Outcome.WRONG),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", Outcome.WRONG),
        (
            b"HTTP/1.1 429 Too Many Requests\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            Outcome.REFUSED,
        ),
    ],
)
def test_an_answer_is_judged_by_its_status_and_its_body(answer, outcome):
    with Stub(answer=lambda _: answer) as stub:
        record = run(stub.port, "new", (0.5, 40.0), timeout_s=5.0)
    assert counts(record) == {outcome}


def test_nobody_there_is_told_from_no_answer():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        record = run(closed.getsockname()[1], "new", (0.5, 40.0))
        assert counts(record) == {Outcome.UNREACHABLE}


def test_a_connection_that_ends_without_an_answer_is_a_reset():
    with Stub(answer=lambda _: 1 / 0) as stub:
        record = run(stub.port, "new", (0.5, 40.0), timeout_s=5.0)
    assert counts(record) == {Outcome.RESET}


def test_a_tenth_say_that_they_are_of_the_highest_class():
    with Stub() as stub:
        record = run(stub.port, "anew", (2.0, 200.0), timeout_s=5.0)
    marked = [head for head in stub.heads if b"\r\nHoldfast-Priority: critical\r\n" in head]
    assert len(marked) == sum(one.critical for one in record.requests)
    assert 0.05 < len(marked) / len(stub.heads) < 0.16


def test_in_a_closed_loop_each_client_asks_when_it_has_been_answered():
    with Stub(delay_s=0.05) as stub:
        record = run(stub.port, "kept", closed=4, closed_s=1.0)
    assert stub.connections == 4
    assert 4 < len(record.requests) <= 4 * (1.0 / 0.05 + 2)
    assert counts(record) == {Outcome.GOOD}


# -- what is sent --


def test_the_number_and_the_request_id_stand_where_they_are_wanted():
    post = Template(
        "/asked?n={n}",
        method="POST",
        headers=[("Content-Type", "application/json"), ("Idempotency-Key", "key-{n}")],
        body=b'{"order": {n}}',
        request_id=True,
        exactly=b"done {n}",
    )
    with Stub() as stub:
        record = run(stub.port, "new", (0.5, 40.0), timeout_s=5.0, templates=[post], first=100)
    assert counts(record) == {Outcome.GOOD}
    assert len(stub.heads) == len(record.requests) > 1
    rest = "Content-Type: application/json\r\nIdempotency-Key: key-{}\r\nContent-Length: 14\r\n\r\n"
    sent = {
        f"POST /asked?n={number} HTTP/1.1\r\nHost: 127.0.0.1:{stub.port}\r\n"
        f"X-Request-ID: {record.request_id(index)}\r\n{rest.format(number)}".encode()
        for index, number in enumerate(range(100, 100 + len(record.requests)))
    }
    assert set(stub.heads) == sent
    assert len({record.request_id(index) for index in range(len(record.requests))}) == len(record.requests)


def test_templates_are_sent_as_often_as_their_weights_say():
    templates = [Template("/asked?n={n}&a"), Template("/asked?n={n}&b", weight=3), Template("/never?n={n}", weight=0)]
    with Stub(answer=lambda _: REFUSAL) as stub:
        record = run(stub.port, "anew", (2.0, 300.0), timeout_s=5.0, templates=templates)
    by_template = [sum(one.template == number for one in record.requests) for number in range(3)]
    assert by_template[2] == 0
    assert 2 < by_template[1] / by_template[0] < 4.5
    assert sum(b"&a " in head for head in stub.heads) == by_template[0]


def test_a_body_too_large_for_one_write_arrives_whole():
    body = bytes(range(256)) * 20_000
    with Sink() as sink:
        record = run(sink.port, "kept", (0.5, 10.0), timeout_s=20.0, templates=[Template("/", method="PUT", body=body)])
    assert counts(record) == {Outcome.GOOD}
    assert sink.sizes == [len(body)] * len(record.requests)


def test_an_answer_before_the_end_of_the_body_counts():
    with Stub(answer=lambda _: REFUSAL) as stub:
        template = Template("/asked?n={n}", method="POST", body=bytes(20_000_000))
        record = run(stub.port, "anew", (0.5, 10.0), timeout_s=20.0, templates=[template])
    assert counts(record) == {Outcome.REFUSED}
