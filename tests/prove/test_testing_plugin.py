"""The fixtures in a team's own tests, run as a team runs them."""

import subprocess
import sys

from backends import environment, left, written

SHOP = """
    import os

    import httpx2
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/items")
    async def items():
        return [1, 2, 3]

    @app.post("/call")
    async def call():
        async with httpx2.AsyncClient(timeout=0.5) as client:
            answer = await client.post(os.environ["HOOK_URL"])
        return {"status": answer.status_code}
"""
CONFIG = """
    app = "shop:app"
    ready = "/-/ready"
    environment = { HOLDFAST_DRAIN_DELAY_S = "0" }
    dependencies = { HOOK_URL = "stand-in/hook" }
"""


def ran(folder, tests: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_shop.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py"]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=50)


def test_the_running_backend_can_be_asked_cut_off_killed_and_stopped(tmp_path):
    folder = written(tmp_path, SHOP, CONFIG)
    told = ran(
        folder,
        """
from holdfast.testing import HalfOpen

def test_it(backend):
    assert backend.ask("POST", "/call").json() == {"status": 200}
    with backend.neighbours["HOOK_URL"].fault(HalfOpen()):
        assert backend.ask("POST", "/call").status == 500
        assert backend.ask("GET", "/items").json() == [1, 2, 3]
    assert backend.ask("POST", "/call").json() == {"status": 200}
    backend.kill()
    assert backend.ask("GET", "/items").status == 0
    backend.again()
    assert backend.ask("GET", "/items").status == 200
    assert backend.terminate() == 0
""",
    )
    assert "1 passed" in told.stdout, told.stdout
    assert left(folder) == []


def test_a_promise_that_is_not_kept_fails_the_test_and_says_why(tmp_path):
    folder = written(tmp_path, SHOP, CONFIG)
    told = ran(
        folder,
        """
def test_kept(promises):
    promises.keeps("journeys")

def test_not(promises):
    promises.keeps("growing-export")
""",
    )
    assert "1 failed, 1 passed" in told.stdout, told.stdout
    assert "growing-export is not proven: `export` is not known" in told.stdout
    assert left(folder) == []


def test_a_proxy_before_anything(tmp_path):
    folder = written(tmp_path, SHOP)
    told = ran(
        folder,
        """
import socket
import pytest
from holdfast.testing import Reset

def test_it(fault_proxy):
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = fault_proxy(server.getsockname())
        with proxy.fault(Reset()), pytest.raises(ConnectionResetError):
            with socket.create_connection(proxy.address, timeout=10) as client:
                client.sendall(b"x")
                client.recv(1)
    assert proxy.seen.opened == 1
""",
    )
    assert "1 passed" in told.stdout, told.stdout
