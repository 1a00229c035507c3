import json
from types import SimpleNamespace

import pytest
from calling import answering, call, scope_of

from holdfast.parts import probes

pytestmark = pytest.mark.anyio


def probed(*, live: bool = True, ready: bool = True, checks=None):
    standing = SimpleNamespace(live=live, ready=ready)
    return probes.layer(answering(body=b"the application's"), lambda: ("a state", standing), checks)


@pytest.mark.parametrize(
    ("path", "standing", "status", "word"),
    [
        ("/-/live", {}, 200, "live"),
        ("/-/live", {"ready": False}, 200, "live"),
        ("/-/live", {"live": False}, 503, "not live"),
        ("/-/ready", {}, 200, "ready"),
        ("/-/ready", {"ready": False}, 503, "not ready"),
    ],
)
async def test_a_probe_is_answered_from_where_the_process_stands(path, standing, status, word):
    answer = await call(probed(**standing), scope_of(path))
    assert (answer.status, json.loads(answer.body)) == (status, {"status": word, "state": "a state"})


async def test_a_check_that_fails_makes_the_process_unready_and_is_named():
    async def checks():
        return {"database": False, "disk": True}

    answer = await call(probed(checks=checks), scope_of("/-/ready"))
    assert answer.status == 503
    assert json.loads(answer.body)["checks"] == {"database": "failing", "disk": "well"}


async def test_a_process_that_leaves_does_not_ask_its_checks():
    async def checks():
        raise AssertionError

    assert (await call(probed(ready=False, checks=checks), scope_of("/-/ready"))).status == 503


async def test_a_check_that_hangs_makes_the_process_unready_in_time(monkeypatch):
    import asyncio

    monkeypatch.setattr(probes, "_CHECKS_S", 0.01)

    async def checks():
        await asyncio.Event().wait()
        return {}

    assert (await call(probed(checks=checks), scope_of("/-/ready"))).status == 503


@pytest.mark.parametrize(("path", "method"), [("/", "GET"), ("/-/other", "GET"), ("/-/ready", "POST")])
async def test_everything_else_is_the_applications(path, method):
    assert (await call(probed(), scope_of(path, method))).body == b"the application's"


async def test_a_head_request_is_answered_without_a_body():
    answer = await call(probed(), scope_of("/-/ready", "HEAD"))
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.header("content-length")) > 0
