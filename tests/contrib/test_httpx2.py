"""Requests that are sent on behalf of others, by the client of httpx2."""

import socket
import threading

import httpx2
import pytest

from holdfast import deadlines
from holdfast.contrib.httpx2 import Deadlined, DeadlinedSync
from holdfast.errors import DeadlinePassed

pytestmark = pytest.mark.anyio
LONG = 3600.0


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Service:
    """Answers each request with its own headers, or never."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.heads: list[str] = []
        self.answers = True
        self.open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    break
                head += piece
            self.heads.append(head.decode().lower())
            if self.answers:
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                connection.close()

    def close(self) -> None:
        self.listener.close()
        for connection in self.open:
            connection.close()


@pytest.fixture
def service():
    found = Service()
    yield found
    found.close()


def client(**more) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=Deadlined(httpx2.AsyncHTTPTransport()), **more)


async def test_without_a_deadline_it_is_as_ever(service):
    async with client() as asking:
        assert (await asking.get(service.url)).text == "ok"
    assert "holdfast-timeout-ms" not in service.heads[0]


async def test_what_is_left_is_told_and_no_phase_may_take_longer(service):
    seen: list[dict] = []

    class Looking(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request):
            seen.append(request.extensions["timeout"])
            return await super().handle_async_request(request)

    async with httpx2.AsyncClient(transport=Deadlined(Looking()), timeout=httpx2.Timeout(None, connect=3)) as asking:
        with deadlines.limit(50):
            assert (await asking.get(service.url)).text == "ok"
    told = int(service.heads[0].split("holdfast-timeout-ms: ")[1].split("\r\n")[0])
    assert 10_000 < told <= 49_000
    assert seen[0]["connect"] == 3
    assert {10 < seen[0][phase] <= 50 for phase in ("read", "write", "pool")} == {True}


async def test_where_nothing_is_left_nothing_is_sent(service):
    async with client() as asking:
        with pytest.raises(DeadlinePassed), deadlines.limit(0.001):
            await asking.get(service.url)
    plain = httpx2.Client(transport=DeadlinedSync(httpx2.HTTPTransport()))
    with plain as asking, pytest.raises(DeadlinePassed), deadlines.limit(0):
        asking.get(service.url)
    assert service.heads == []


async def test_a_service_that_does_not_answer_is_waited_for_no_longer_than_there_is_time(service):
    service.answers = False
    async with client(timeout=LONG) as asking:
        with pytest.raises(DeadlinePassed), deadlines.limit(0.2):
            await asking.get(service.url)


async def test_a_shorter_timeout_of_the_client_stays_its_own(service):
    service.answers = False
    async with client(timeout=0.1) as asking:
        with deadlines.limit(LONG), pytest.raises(httpx2.ReadTimeout):
            await asking.get(service.url)


def test_threads_keep_the_deadline_as_well(service):
    service.answers = False
    with (
        httpx2.Client(transport=DeadlinedSync(httpx2.HTTPTransport()), timeout=LONG) as asking,
        pytest.raises(DeadlinePassed),
        deadlines.limit(0.2),
    ):
        asking.get(service.url)
