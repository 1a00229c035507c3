import re
from html.parser import HTMLParser

import pytest

from holdfast.profile.page import page
from holdfast.profile.report import Line, Process, Report, Route, Stack, by_route, running, shown, tree, waiting
from holdfast.profile.table import table

HANDLER = Line("/srv/shop/teas.py", 12, "tea", own=True)
HELPER = Line("/srv/shop/prices.py", 40, "price", own=True)
FRAMEWORK = Line("/lib/python3.11/site-packages/starlette/routing.py", 65, "app", own=False)
BUILT_IN = Line("", 0, "sum", own=False)
DRIVER = Line("/lib/python3.11/site-packages/driver/pool.py", 7, "acquire", own=False)


def process(pid: int, **more) -> Process:
    given = {
        "running": [
            Stack("GET /teas/{name}", [FRAMEWORK, HANDLER, HELPER, BUILT_IN], 1.5),
            Stack("GET /teas/{name}", [FRAMEWORK, HANDLER], 0.25),
            Stack("(no request)", [FRAMEWORK], 0.25),
        ],
        "waiting": [Stack("GET /orders", [FRAMEWORK, HANDLER, DRIVER], 3.0)],
        "routes": [Route("GET /teas/{name}", 100, 2.0), Route("GET /orders", 10, 3.0)],
    }
    return Process(pid, 0, "shop:app", "/srv/shop", 10.0, 8.0, 1000, 0.1, **(given | more))


REPORT = Report([process(1), process(2)])


def test_routes_of_all_processes_are_added_up_and_what_takes_the_loop_comes_first():
    rows = {row.route: (row.ended, row.running_s, row.in_flight) for row in by_route(REPORT)}
    assert rows == {
        "GET /teas/{name}": (200, 3.5, 4.0),
        "(no request)": (0, 0.5, 0.0),
        "GET /orders": (20, 0.0, 6.0),
    }
    assert next(iter(rows)) == "GET /teas/{name}"


def test_a_line_is_the_innermost_of_the_application_with_what_it_called():
    rows = [(row.line, row.inside, row.amount) for row in running(REPORT)]
    assert rows[0] == (HELPER, "sum", 3.0)
    assert set(rows[1:]) == {(HANDLER, "", 0.5), (FRAMEWORK, "", 0.5)}
    assert sum(row.amount for row in running(REPORT)) == pytest.approx(REPORT.running_s) == pytest.approx(4.0)
    (row,) = waiting(REPORT)
    assert (row.line, row.inside, row.route, row.amount) == (HANDLER, "acquire", "GET /orders", 6.0)


def test_the_tree_keeps_all_of_the_time_and_begins_with_the_application():
    first = tree(REPORT)[0]
    assert (first.line.file, first.amount) == ("GET /teas/{name}", 3.5)
    (handler,) = first.below
    assert (handler.line, handler.amount) == (HANDLER, 3.5)
    assert [(node.line, node.amount) for node in handler.below] == [(HELPER, 3.0)]
    assert sum(node.amount for node in tree(REPORT)) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("file", "short"),
    [
        ("/srv/shop/teas.py", "teas.py"),
        ("/venv/lib/python3.11/site-packages/starlette/routing.py", "starlette/routing.py"),
        ("/usr/lib/python3.11/json/decoder.py", "json/decoder.py"),
        ("/elsewhere/x.py", "/elsewhere/x.py"),
    ],
)
def test_files_are_shown_without_where_they_are_installed(file, short):
    assert shown(file, ["/srv/shop"]) == short


def test_the_table_says_what_runs_what_waits_and_how_long():
    text = table(REPORT)
    assert "shop:app: 2 event loops, 10.0 s, 2,000 looks (1.0% of the time)" in text
    assert "running 20.0%, waiting for something to do 80.0%" in text
    assert re.search(r"GET /teas/\{name\} +200 +3\.50 s +17\.5% +17\.50 ms +4\.0", text)
    assert re.search(r"15\.0% +3\.00 s +prices\.py:40 price +sum +GET /teas/\{name\}", text)
    assert re.search(r"6\.0 +teas\.py:12 tea +acquire +GET /orders", text)


def test_a_report_of_a_service_that_did_nothing_is_shown_too():
    quiet = Report([process(1, running=[], waiting=[], routes=[])])
    assert "running 0.0%" in table(quiet)
    assert "nothing" in page(quiet)


class Looked(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.asked += [value for name, value in attrs if name in {"src", "href", "action"}]
        if tag not in {"meta", "br"} and not tag.startswith("!"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_needs_nothing_else_and_escapes_what_it_shows():
    evil = Stack("GET /<script>", [Line("/srv/shop/<b>.py", 1, "<lambda>", own=True)], 5.0)
    text = page(Report([process(1, running=[evil])]))
    looked = Looked()
    looked.feed(text)
    assert looked.open == []
    assert looked.asked == []
    assert not re.search(r"<script|<b>|<lambda>|url\(|@import|https?:", text)
    assert "&lt;lambda&gt;" in text
    assert "prefers-color-scheme: dark" in text
