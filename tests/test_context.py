import asyncio
import threading

import pytest
from calling import answering, call, scope_of

from holdfast import context
from holdfast.context import ContextSettings, continuing, current, set_action, set_actor
from holdfast.errors import SettingsInvalid

pytestmark = pytest.mark.anyio
PROXIES = ContextSettings(trusted_proxies=("10.0.0.0/8",))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def keeping(kept: list):
    async def app(scope, receive, send):
        kept.append(current())
        await answering()(scope, receive, send)

    return app


async def kept_context(settings=None, **scope):
    kept: list = []
    answer = await call(context.layer(keeping(kept), settings), scope_of(**scope))
    return kept[0], answer


async def test_each_request_has_an_id_and_its_answer_carries_it():
    record, answer = await kept_context()
    assert answer.header("x-request-id") == record.id


async def test_a_clients_id_is_kept_beside_ours_and_never_answered():
    record, answer = await kept_context(headers=[("x-request-id", "order-7.b_2")])
    assert record.client_id == "order-7.b_2"
    assert answer.header("x-request-id") == record.id != "order-7.b_2"


@pytest.mark.parametrize("sent", ["", "a" * 129, "two words", "new\nline", "semi;colon", "café", '{"a":1}', "a/b"])
async def test_an_id_that_could_break_a_log_is_not_kept(sent):
    record, _ = await kept_context(headers=[("x-request-id", sent)])
    assert record.client_id is None


@pytest.mark.parametrize("name", [b"x-request-id", b"X-Request-ID"])
async def test_an_id_that_the_application_answers_itself_is_replaced(name):
    answer = await call(context.layer(answering(headers=[(name, b"forged")])))
    assert len([value for key, value in answer.headers if key.lower() == b"x-request-id" and value != b"forged"]) == 1
    assert (name, b"forged") not in answer.headers


async def test_a_message_that_the_application_shares_between_requests_is_left_alone():
    start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}

    async def app(scope, receive, send):
        await send(start)
        await send({"type": "http.response.body"})

    await call(context.layer(app))
    assert start["headers"] == [(b"a", b"b")]


async def test_the_client_behind_a_trusted_proxy_is_seen_by_us_and_by_the_application():
    record, _ = await kept_context(
        PROXIES, client=("10.0.0.1", 1), headers=[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https")]
    )
    assert (record.client, record.scope["client"][0], record.scope["scheme"]) == (
        "198.51.100.1",
        "198.51.100.1",
        "https",
    )


async def test_a_stranger_is_not_believed_about_its_address_or_scheme():
    record, _ = await kept_context(PROXIES, headers=[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https")])
    assert (record.client, record.scope["scheme"]) == ("203.0.113.9", "http")


async def test_a_trace_from_outside_is_a_link_and_from_a_trusted_peer_the_parent():
    stranger, _ = await kept_context(PROXIES, headers=[("traceparent", TRACEPARENT)])
    assert (stranger.trace_id, stranger.trace_link) == (None, TRACE)
    peer, _ = await kept_context(PROXIES, client=("10.0.0.1", 1), headers=[("traceparent", TRACEPARENT)])
    assert (peer.trace_id, peer.trace_link) == (TRACE, None)


@pytest.mark.parametrize(
    "sent", ["", "00-xyz", f"00-{'0' * 31}-{'0' * 16}-01", "00-" + "A" * 32 + "-" + "B" * 16 + "-01"]
)
async def test_a_trace_that_is_none_is_left_out(sent):
    record, _ = await kept_context(headers=[("traceparent", sent)])
    assert (record.trace_id, record.trace_link) == (None, None)


async def test_what_a_thread_or_a_task_sets_is_seen_outside_of_it():
    kept: list = []

    async def app(scope, receive, send):
        kept.append(current())
        await asyncio.to_thread(set_actor, "alice")
        await asyncio.create_task(asyncio.to_thread(set_action, "file.upload"))
        await answering()(scope, receive, send)

    await call(context.layer(app))
    assert (kept[0].actor, kept[0].action) == ("alice", "file.upload")


async def test_a_plain_thread_carries_no_context():
    seen: list = []

    async def app(scope, receive, send):
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
        await answering()(scope, receive, send)

    await call(context.layer(app))
    assert seen == [None]


async def test_outside_a_request_there_is_no_context_and_setting_is_harmless():
    set_actor("nobody")
    set_action("nothing")
    assert current() is None


async def test_work_that_goes_on_later_carries_the_id_of_its_request_and_ends_with_the_block():
    with continuing("01900000-0000-7000-8000-000000000001"):
        record = current()
        assert record is not None
        assert (record.id, record.over, record.route, record.client) == (
            "01900000-0000-7000-8000-000000000001",
            True,
            None,
            None,
        )
        set_action("file.read")
    assert current() is None


async def test_work_that_no_request_began_has_no_context():
    with continuing(None):
        assert current() is None


async def test_requests_that_overlap_do_not_see_each_other():
    both = asyncio.Barrier(2)

    async def app(scope, receive, send):
        set_actor(scope["path"])
        await both.wait()
        assert current().actor == scope["path"]
        await answering()(scope, receive, send)

    layered = context.layer(app)
    answers = await asyncio.gather(call(layered, scope_of("/a")), call(layered, scope_of("/b")))
    assert [answer.status for answer in answers] == [200, 200]


async def test_a_layer_inside_a_layer_keeps_the_outer_context():
    kept: list = []
    answer = await call(context.layer(context.layer(keeping(kept))))
    assert answer.header("x-request-id") == kept[0].id


async def test_exits_run_last_one_first_before_the_answer_begins():
    order: list[str] = []

    async def leave(name):
        order.append(name)

    async def app(scope, receive, send):
        current().exits = [lambda: leave("first"), lambda: leave("second")]
        await answering()(scope, receive, send)

    async def sending(scope, receive, send):
        async def noting(message):
            order.append(message["type"])
            await send(message)

        await context.layer(app)(scope, receive, noting)

    await call(sending)
    assert order == ["second", "first", "http.response.start", "http.response.body"]


async def test_late_exits_run_when_the_answer_has_ended():
    order: list[str] = []

    async def leave():
        order.append("left")

    async def app(scope, receive, send):
        current().late_exits = [leave]
        await answering()(scope, receive, send)
        order.append("ended")

    await call(context.layer(app))
    assert order == ["ended", "left"]


async def test_an_exit_that_fails_does_not_keep_the_others_from_running():
    ran: list[str] = []

    async def fails():
        raise RuntimeError("commit failed")

    async def leave():
        ran.append("left")

    async def app(scope, receive, send):
        current().exits = [leave, fails]
        await answering()(scope, receive, send)

    with pytest.raises(RuntimeError, match="commit failed"):
        await call(context.layer(app))
    assert ran == ["left"]


async def test_a_trusted_proxy_that_is_no_address_is_a_fault_of_the_settings():
    with pytest.raises(SettingsInvalid, match="HOLDFAST_TRUSTED_PROXIES"):
        context.layer(answering(), ContextSettings(trusted_proxies=("the proxy",)))


async def test_a_path_that_a_framework_shortens_stays_as_it_came():
    seen = []

    async def app(scope, receive, send):
        scope["path"] = "/below"
        seen.append(current().path)
        await answering()(scope, receive, send)

    await call(context.layer(app), scope_of("/sub/below"))
    assert seen == ["/sub/below"]
