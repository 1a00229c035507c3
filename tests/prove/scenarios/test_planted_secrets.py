"""No secret gets out: what is found in whatever form it has, and what the scenario says of backends that leak."""

import base64
import json
import random
from urllib.parse import quote

import msgspec
import pytest
from proving import HOLDFAST, proving, verdict

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.planted_secrets.leaking import Leak, Planted, found_in_text, in_bytes, leaks_of_log, masked
from holdfast.prove.acts.planted_secrets.planting import Ground, Sower
from holdfast.prove.props.html_forms import sign_in_form
from holdfast.prove.scenarios.planted_secrets import SCENARIO, Secrets, gather, judge

pytestmark = pytest.mark.anyio

VALUE = "uM4kQ8zR2vX6tB1nW7yL"
PLANTED = Planted(VALUE, "password", "the JSON of POST /login", 0)
KEPT = Secrets(well="200", fault="10 secrets", planted=10, asked=4, answered=4, lines=9, files=2)

GOOD = """
    import json, logging, sys

    logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(message)s", level=logging.INFO)


    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, answer = (200 if scope["path"] == "/" and scope["method"] == "GET" else 422), "not served"
        logging.info("%s %s", scope["method"], status)
        LEAK
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": answer.encode()})
"""
LEAKS = {
    "the query in the log": ("logging.info(scope['query_string'])", "the log"),
    "the path, decoded, in the log": ("logging.info(scope['path'])", "the log"),
    "the headers in the log": ("logging.info(scope['headers'])", "the log"),
    "the body in the log": ("logging.info(body)", "the log"),
    "the body letter by letter in the log": ("logging.info([chr(each) for each in body])", "the log"),
    "the body as base64 in the log": ("import base64; logging.info(base64.b64encode(b'x' + body))", "the log"),
    "the beginning of the body in the log": ("logging.info(body[:60])", "the log"),
    "the body in the answer": ("answer = body.decode(errors='replace')", "the answer to it, 422"),
    "another's body in the answer": (
        "global LAST; answer = globals().get('LAST', ''); LAST = body.decode(errors='replace')",
        "an answer to another, 422",
    ),
    "the headers in a file": (
        "import os; open(os.environ['SHOP_DATA'] + '/audit.db', 'a').write(str(scope['headers']))",
        "the file audit.db",
    ),
    "the configured password in a file": (
        "import os; open(os.environ['SHOP_DATA'] + '/users', 'a').write(os.environ['SHOP_PASSWORD'])",
        "the file users",
    ),
    "the query in a log file": (
        "import os; open(os.environ['SHOP_DATA'] + '/access.log', 'ab').write(scope['query_string'] + b'\\n')",
        "the log",
    ),
}


@pytest.mark.parametrize(
    ("facts", "kind", "why"),
    [
        ({}, Verdict.KEPT, "10 secrets were sent in 4 requests"),
        ({"lines": 0}, Verdict.NOT_PROVEN, "wrote no line"),
        (
            {
                "leaks": (Leak("JWT", "a", "the log, line 1"), Leak("password", "b", "the log, line 2", "p=***")),
                "leaked": 2,
            },
            Verdict.BROKEN,
            "The password in b is in the log, line 2: p=***; so are 2 of 10",
        ),
    ],
)
def test_what_is_judged(facts, kind, why):
    judgement = judge(msgspec.structs.replace(KEPT, **facts))
    assert judgement.verdict is kind
    assert why in judgement.why


def test_what_would_mend_it_depends_on_where_it_was_found():
    found = {where: judge(msgspec.structs.replace(KEPT, leaks=(Leak("JWT", "a", where),))).mend for where in
             ("the log, line 1", "the answer to it, 422", "the file a.db")}  # fmt: skip
    assert len(set(found.values())) == 3


FORMS = {
    "as it is": f"password={VALUE}",
    "quoted": json.dumps({"password": VALUE}),
    "in small letters": VALUE.lower(),
    "letter by letter": str(list(VALUE)),
    "percent-encoded": "".join(f"%{ord(letter):02x}" for letter in VALUE),
    "percent-encoded twice": quote("".join(f"%{ord(letter):02x}" for letter in VALUE)),
    "escaped": "".join(f"\\u{ord(letter):04x}" for letter in VALUE),
    "cut": VALUE[:13],
    "its end": f"...{VALUE[-13:]}",
    "as hex": VALUE.encode().hex(),
    **{f"as base64 after {n}": base64.b64encode(b"abc"[:n] + VALUE.encode() + b"de").decode() for n in range(4)},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_whatever_form_and_never_shown(form):
    assert found_in_text(f"before {FORMS[form]} after", [PLANTED]) == [PLANTED]
    lines = ["nothing", f"before {FORMS[form]} after"]
    (leak,) = leaks_of_log(lines, [PLANTED])
    assert leak.output == "the log, line 2"
    shown = leak.shown.lower()
    assert not any(VALUE[at : at + 7].lower() in shown for at in range(len(VALUE) - 6))


def test_one_that_is_spread_over_lines_is_found():
    (leak,) = leaks_of_log(list(VALUE), [PLANTED])
    assert leak.output == "the log, over several lines"


def test_what_is_masked_or_too_short_is_no_leak():
    assert found_in_text(f"password={VALUE[:4]}**** and a uuid 3f1d2c4b-0000-4000-8000-123456789abc", [PLANTED]) == []
    assert masked("nothing of it", [PLANTED]) == ""


def test_other_opaque_words_are_not_shown_either():
    assert "eyJ" not in masked(f"token eyJhbGciOiJIUzI1NiIsInR5cCI6 password={VALUE}", [PLANTED])


def test_files_are_searched_as_they_are():
    assert in_bytes(b"\0\1" + VALUE.encode() + b"\2", [PLANTED]) == [PLANTED]
    assert in_bytes(b"\0" + base64.b64encode(VALUE.encode()), [PLANTED]) == [PLANTED]
    assert in_bytes(b"", [PLANTED]) == []


def test_each_secret_is_sent_once_and_in_its_request():
    ground = Ground("/", "/no", [("POST", "/x", {"name": "a"})], [("POST", "/x")], ("POST", "/up", "file"), ["/login"])
    sowings = list(Sower(random.Random(1)).sowings(ground))
    planted = [one for each in sowings for one in each.planted]
    assert len({one.value for one in planted}) == len(planted)
    assert [one.number for each in sowings for one in each.planted] == sorted(one.number for one in planted)
    for each in sowings:
        sent = f"{each.path} {dict(each.headers)} {(each.body or b'').decode()}"
        assert found_in_text(sent, each.planted) == list(each.planted)


def test_where_a_number_is_wanted_a_token_is_sent():
    ground = Ground("/", "/no", [], [], ("POST", "/up", "file"), [], [("/items", "limit")])
    [one] = [each for each in Sower(random.Random(1)).sowings(ground) if each.path.startswith("/items?limit=")]
    assert one.planted[0].value in one.path
    assert not one.planted[0].echoed


def test_a_form_is_filled_in_as_a_browser_does():
    page = """<form action="search"><input name="q"></form><form method=post action="/in?x=1">
        <input type=hidden name=csrf value="a&amp;b"><input name=who>
        <input type="password" name="word"><button></form>"""
    form = sign_in_form(page, "/sign-in")
    assert form is not None
    assert form.action == "/in"
    assert form.filled("ann", "sesame") == {"csrf": "a&b", "who": "ann", "word": "sesame"}
    assert sign_in_form("<form><input name=q></form>", "/") is None


def test_cards_are_cards():
    digits = [int(digit) for digit in Sower(random.Random(2))._card("x")]
    doubled = [sum(divmod(2 * each, 10)) if at % 2 == 0 else each for at, each in enumerate(digits)]
    assert len(digits) == 16
    assert sum(doubled) % 10 == 0


async def test_a_backend_that_tells_nothing_keeps_the_promise(tmp_path):
    async with proving(tmp_path, GOOD.replace("LEAK", "pass"), environment={"SHOP_PASSWORD": "{secret}"}) as stage:
        facts = await gather(stage)
    assert verdict(SCENARIO, facts).verdict is Verdict.KEPT, facts.leaks
    assert facts.planted > 80


async def test_so_does_one_whose_log_is_redacted(tmp_path):
    leak = "logging.info('asked', extra={'headers': scope['headers']})"
    async with proving(tmp_path, GOOD.replace("LEAK", leak), serve=HOLDFAST) as stage:
        facts = await gather(stage)
    assert all("?url=" in one.place for one in facts.leaks), facts.leaks


async def test_a_password_that_only_a_page_takes_is_found(tmp_path):
    page = "'<form><input type=hidden name=csrf value=z1><input name=who><input type=password name=word></form>'"
    leak = (
        "if scope['path'] == '/login' and scope['method'] == 'GET': status, answer = 200, " + page + "\n"
        "        if b'csrf=z1' in body: logging.info(body)"
    )
    async with proving(tmp_path, GOOD.replace("LEAK", leak), environment={"SHOP_PASSWORD": "{secret}"}) as stage:
        facts = await gather(stage)
    assert {(one.kind, one.place) for one in facts.leaks} == {
        ("password", "the form on the page /login"),
        ("configured secret", "the environment"),
    }


@pytest.mark.parametrize("leak", LEAKS)
async def test_a_backend_that_leaks_breaks_it(tmp_path, leak):
    code, where = LEAKS[leak]
    source = GOOD.replace("LEAK", code)
    async with proving(tmp_path, source, environment={"SHOP_PASSWORD": "{secret}"}) as stage:
        facts = await gather(stage)
    judgement = verdict(SCENARIO, facts)
    assert judgement.verdict is Verdict.BROKEN
    assert judgement.certain
    assert any(one.output.startswith(where) for one in facts.leaks), facts.leaks
    assert stage.secret not in msgspec.json.encode(facts).decode()
