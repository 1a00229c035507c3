"""Guessing passwords: who tells nobody to wait, or believes whoever says to be another, is found; others are not."""

import asyncio

import msgspec
import pytest
from proving import proving

from holdfast.decide.verdicts import Verdict
from holdfast.prove.acts.loud_client.guessing import MOST, Guessing, guessing, unguarded

SHOP = """
import collections, json, os
from urllib.parse import parse_qs

HOW = os.environ.get("SHOP_HOW", "")
FORM = b'<form action="/login"><input name="user"><input name="word" type="password"></form>'
FAILED = collections.Counter()

def answer_for(scope, body):
    if scope["method"] == "GET":
        return 200, FORM if scope["path"] == "/login" else b"here"
    if "json" in HOW:
        user, word = json.loads(body)["user"], json.loads(body)["word"]
    else:
        user, word = parse_qs(body.decode())["user"][0], parse_qs(body.decode())["word"][0]
    headers = dict(scope["headers"])
    client = scope["client"][0]
    if "believes" in HOW:
        client = headers.get(b"x-forwarded-for", client.encode()).decode()
    key = user if "names" in HOW else (user, client)
    if FAILED[key] >= 5 and "silent" in HOW:
        return 401, FORM
    if FAILED[key] >= 5 and "endless" not in HOW:
        return 429, b"wait"
    if word == os.environ.get("SHOP_WORD"):
        return 200, b"welcome"
    FAILED[key] += 1
    return (404, b"what?") if "strange" in HOW else (401 if "json" in HOW else 200, FORM)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    status, said = answer_for(scope, body)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})
"""
SIGN_IN = {"request": "POST /login", "json": {"user": "first", "word": "{secret}"}, "token": "x"}


def guessed(tmp_path, how: str, **said: object) -> Guessing:
    async def run() -> Guessing:
        environment = {"SHOP_HOW": how, "SHOP_WORD": "{secret}"}
        async with proving(tmp_path, SHOP, environment=environment, read="GET /", **said) as stage:
            config = stage.target.config
            # signing in at the start is not what is tried here
            under = config._replace(sign_in=None)
            stage.target = stage.target._replace(config=under)
            async with stage.app() as app:
                return await guessing(app, stage.target._replace(config=config), stage.chance)

    return asyncio.run(run())


@pytest.mark.parametrize("how", ["", "names", "names believes"])
def test_who_tells_guessers_to_wait_is_well(tmp_path, how):
    found = guessed(tmp_path, how)
    assert (found.where, found.said, found.stopped, found.believed) == ("POST /login", 200, 429, 0)
    assert found.tried < 12
    assert unguarded(found) is None


def test_who_hears_all_guesses_is_broken(tmp_path):
    found = guessed(tmp_path, "endless")
    assert (found.tried, found.stopped, found.let_in) == (MOST, None, None)
    judged = unguarded(found)
    assert judged is not None
    assert (judged.verdict, judged.certain) == (Verdict.BROKEN, True)
    assert "none was told to wait" in judged.why


def test_who_believes_whoever_says_to_be_another_is_broken(tmp_path):
    found = guessed(tmp_path, "believes")
    assert found.believed == found.pretended > 3
    assert "X-Forwarded-For" in unguarded(found).why


def test_where_the_account_is_known_the_right_password_tells_who_locks_in_silence(tmp_path):
    found = guessed(tmp_path, "json names silent", sign_in=SIGN_IN)
    assert (found.tried, found.let_in) == (MOST, False)
    assert unguarded(found) is None


def test_where_the_account_is_known_and_open_after_all_guesses_is_broken(tmp_path):
    found = guessed(tmp_path, "json endless", sign_in=SIGN_IN)
    assert found.let_in is True
    assert "the right one was taken" in unguarded(found).why


def test_what_is_no_answer_to_a_wrong_password_shows_nothing(tmp_path):
    found = guessed(tmp_path, "strange")
    assert "404" in found.unclear
    assert unguarded(found) is None


SEEN = Guessing("POST /login", tried=9, said=401, stopped=429, pretended=5)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"believed": 4}, ""),  # one that was not heard is enough
        ({"believed": 5}, "heard again each time"),
        ({"tried": MOST, "stopped": None, "pretended": 0}, "wrong passwords in a row"),
        ({"tried": MOST - 1, "stopped": None, "pretended": 0}, ""),  # it may be told to wait with the next
        ({"tried": MOST, "stopped": None, "pretended": 0, "let_in": False}, ""),
        ({"tried": MOST, "stopped": 0, "pretended": 0}, ""),  # cut off with the last of them
        ({"tried": 0, "stopped": None, "pretended": 0}, ""),
    ],
)
def test_judgements(changed, words):
    found = unguarded(msgspec.structs.replace(SEEN, **changed))
    assert (found is not None) is bool(words)
    assert found is None or words in found.why
