"""What systemd is told, over a real socket."""

import signal
import socket

import pytest
from running import serving, wait_until

from holdfast.serve import notify

APP = "async def app(scope, receive, send): ..."


@pytest.fixture
def told(tmp_path):
    """What has come to the address that `NOTIFY_SOCKET` names, one list of lines for each message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        seen: list[list[str]] = []

        def so_far() -> list[list[str]]:
            try:
                while True:
                    seen.append(systemd.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return seen

        yield so_far


def first_lines(messages: list[list[str]]) -> list[str]:
    return [lines[0] for lines in messages]


def test_a_service_says_when_it_serves_and_when_it_stops(tmp_path, told):
    with serving(tmp_path, APP, NOTIFY_SOCKET=str(tmp_path / "notify")) as running:
        assert first_lines(told()) == ["READY=1"]
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        assert first_lines(told()) == ["READY=1", "STOPPING=1"]


def test_with_workers_a_rolling_restart_is_a_reload(tmp_path, told):
    with serving(tmp_path, APP, "--workers", "2", NOTIFY_SOCKET=str(tmp_path / "notify")) as running:
        wait_until(lambda: len(running.events("worker serves")) == 2, "two workers serve")
        running.signal(signal.SIGHUP)
        wait_until(lambda: first_lines(told()) == ["READY=1", "RELOADING=1", "READY=1"], "it has reloaded")
        assert told()[1][1].startswith("MONOTONIC_USEC=")
        wait_until(lambda: running.events("rolling restart done"), "the log says so too")
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        assert first_lines(told())[3:] == ["STOPPING=1"]


def test_a_start_that_fails_says_nothing(tmp_path, told):
    with serving(tmp_path, "raise RuntimeError", ready=False, NOTIFY_SOCKET=str(tmp_path / "notify")) as running:
        assert running.ended() == 3
        assert told() == []


def test_an_abstract_address_is_understood_and_a_wrong_one_harms_nothing(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0holdfast-test-notify")
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@holdfast-test-notify")
        notify.ready()
        assert systemd.recv(4096).startswith(b"READY=1\n")
    for address in ("", "nonsense", "/nowhere/at/all", "@nobody-listens-there"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify.stopping()
