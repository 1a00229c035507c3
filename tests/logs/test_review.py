import gzip
import io
import json

from holdfast.decide.redaction import Redactor
from holdfast.logs.review import render, review, review_files

REDACTOR = Redactor()


def line(**fields: object) -> str:
    return json.dumps({"time": "2026-01-01T00:00:00Z", "level": "info", "logger": "shop.users", **fields})


def places(*lines: str, redactor: Redactor = REDACTOR) -> list[tuple[str, str, int, str, bool]]:
    leaks = review(lines, redactor).leaks.values()
    return sorted((leak.place.kind, leak.place.field, leak.lines, leak.first, leak.certain) for leak in leaks)


def test_leaks_are_grouped_by_where_they_come_from():
    lines = [
        line(event="user 7 created", source="users.py:40", contact_at="bob@example.com"),
        line(event="fine", page=2),
        line(event="user 8 created", source="users.py:40", contact_at="eve@example.com"),
        line(event="user 8 created", source="users.py:99", contact_at="eve@example.com"),
    ]
    found = review(lines, REDACTOR)
    assert (found.lines, found.leaking) == (4, 3)
    assert [(leak.place, leak.lines, leak.first) for leak in found.certain] == [
        (("email", "shop.users", "user # created", "contact_at", "users.py:40"), 2, "1"),
        (("email", "shop.users", "user # created", "contact_at", "users.py:99"), 1, "4"),
    ]


def test_the_field_is_named_with_its_path_and_the_name_in_a_text():
    assert places(
        line(event="x", request={"body": [{"password": "sesame"}], "query": "page=1&token=abc"}),
        line(event="signed in with password=sesame"),
    ) == [
        ("field", "event: password", 1, "2", True),
        ("field", "request.body.password", 1, "1", True),
        ("field", "request.query: token", 1, "1", True),
    ]


def test_what_stands_below_a_secret_name_is_found():
    assert places(line(credentials={"user": "bob", "word": "sesame"}), line(password=1234)) == [
        ("field", "credentials.user", 1, "1", True),
        ("field", "credentials.word", 1, "1", True),
        ("field", "password", 1, "2", True),
    ]


def test_a_line_that_is_already_redacted_is_clean():
    record = {"password": "sesame", "note": "mail bob@example.com", "key": "sk_live_" + "a1B2" * 8, "tokens": 7}
    assert places(line(**REDACTOR.fields(record))) == []


def test_lines_that_are_no_json_are_reviewed_as_text():
    assert places("2026-01-01 INFO shop: login password=sesame", "", "[1, 2]", '{"torn": "bob@example.com') == [
        ("email", "text", 1, "4", True),
        ("field", "text: password", 1, "1", True),
    ]


def test_names_and_values_that_look_like_leaks_are_named_without_being_certain():
    opaque = "q7Wn4kZp81LmT2xV"
    assert places(line(first_name="Ann", blob=opaque, file_id=opaque, ip_address="::1")) == [
        ("opaque value", "blob", 1, "1", False),
        ("personal name", "first_name", 1, "1", False),
    ]


def test_a_declared_name_counts_and_a_kept_one_does_not():
    assert places(line(patient="x"), redactor=Redactor(["patient"])) == [("field", "patient", 1, "1", True)]
    assert places(line(session_id="abc"), redactor=Redactor(["-session_id"])) == []


def test_no_value_is_shown_not_even_in_an_event_or_a_name(tmp_path):
    secrets = ["sesame", "bob@example.com", "4111111111111111", "Ann", "q7Wn4kZp81LmT2xV"]
    lines = [
        line(event="mail to bob@example.com with password=sesame", source="bob@example.com"),
        line(event="x", first_name="Ann", note="4111111111111111", blob="q7Wn4kZp81LmT2xV"),
        line(event="x", **{"bob@example.com": {"password": "sesame"}}),
        "text password=sesame bob@example.com",
    ]
    told = render(review(lines, REDACTOR))
    assert [secret for secret in secrets if secret in told] == []
    assert "first_name" in told


def test_an_unprintable_name_cannot_draw_on_the_terminal():
    assert "\x1b" not in render(review([json.dumps({"\x1b[2Jpassword": "sesame"})], REDACTOR))


def test_files_are_read_plain_and_packed_and_told_with_their_names(tmp_path):
    plain, packed = tmp_path / "app.log", tmp_path / "app.log.1.gz"
    plain.write_bytes(line(event="x").encode() + b"\n\xff\n" + line(event="x", password="sesame").encode())
    packed.write_bytes(gzip.compress(line(event="x", secret="sesame").encode()))
    out = io.StringIO()
    assert review_files([str(plain), str(packed)], out) == 1
    assert "app.log:3" in out.getvalue()
    assert "4 lines, 2 of them" in out.getvalue()


def test_standard_input_is_read(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(line(event="x", password="sesame").encode())

    monkeypatch.setattr("sys.stdin", Stdin())
    out = io.StringIO()
    assert review_files(["-"], out) == 1
    assert "1 line, 1 of them" in out.getvalue()


def test_the_exit_code_tells_clean_from_leaking_from_unreadable(tmp_path):
    clean, likely, torn = tmp_path / "clean.log", tmp_path / "likely.log", tmp_path / "torn.gz"
    clean.write_text(line(event="x") + "\n")
    likely.write_text(line(event="x", first_name="Ann") + "\n")
    torn.write_bytes(gzip.compress(line(event="x").encode() * 100)[:60])
    assert review_files([str(clean)], io.StringIO()) == 0
    assert review_files([str(likely)], io.StringIO()) == 0
    assert review_files([str(tmp_path / "missing.log"), str(clean)], io.StringIO()) == 2
    assert review_files([str(torn)], io.StringIO()) == 2


def test_a_deep_and_a_long_line_are_reviewed():
    deep = '{"a":' * 500 + '{"password": "sesame"}' + "}" * 500
    long = line(event="x", note="word " * 30_000 + "bob@example.com")
    assert [kind for kind, *_ in places(deep, long)] == ["email", "field"]
    assert len(places('{"password": ' + "[" * 100_000)) == 1
