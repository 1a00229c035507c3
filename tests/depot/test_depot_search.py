"""Searching in records: what is found, and how far one answer goes."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from depot import accounts, records
from depot.batches import Place
from depot.database import Database
from depot.migrations import migrate
from depot.models import READY, Account, File
from depot.pages.records import shown
from depot.search import Hits, Search, fields


def fill(session: Session) -> Account:
    """An account with two files of 30 records, and another's file between them."""
    for name in ("ann", "bob"):
        accounts.add(session, name, "")
    session.flush()
    for no, owner in ((1, "ann"), (2, "bob"), (3, "ann")):
        account = accounts.named(session, owner)
        common = {"size": 0, "sha256": "", "created": "", "request_id": None, "state": READY}
        session.add(File(no=no, id=f"file-{no}", account_no=account.no, name=f"{no}.csv", **common))
        session.flush()
        rows = [(row, json.dumps({"n": f"Row {row}", "owner": owner})) for row in range(1, 31)]
        records.insert(session, no, rows)
    return accounts.named(session, "ann")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "depot.sqlite"
    migrate(str(path), tmp_path / "lock")
    with closing(Database(str(path))) as opened:
        yield opened


@pytest.fixture
def ann(database) -> Account:
    return database.transact(fill, write=True)


def found(search: Search, ann: Account, wanted: str, after: Place = Place(), only: int | None = None, limit: int = 50):
    return asyncio.run(search.find(ann, wanted, after, only, limit))


def where(hits: Hits) -> list[tuple[int, int]]:
    return [(one.file_no, one.row) for one in hits.found]


def test_all_of_an_account_is_searched_and_nothing_of_another(database, ann) -> None:
    hits = found(Search(database), ann, "ROW 7")
    assert (where(hits), hits.searched, hits.next, hits.full) == ([(1, 7), (3, 7)], 60, None, False)
    assert where(found(Search(database), ann, "bob")) == []
    assert where(found(Search(database), ann, "owner")) == []
    assert where(found(Search(database), ann, "", Place(2, 5), only=2)) == []


@pytest.mark.parametrize("most_rows", [1, 7, 30, 59, 60, 1_000])
def test_a_search_that_is_broken_off_goes_on_where_it_was(database, ann, most_rows: int) -> None:
    search, place, seen, answers = Search(database, most_rows), Place(), [], 0
    while place is not None:
        hits = found(search, ann, "row 1", place)
        assert hits.searched <= most_rows
        seen += where(hits)
        place = hits.next
        answers += 1
    assert seen == [(no, row) for no in (1, 3) for row in (1, *range(10, 20))]
    assert answers == 60 // most_rows + 1


@pytest.mark.parametrize("limit", [1, 3, 22, 23, 50])
def test_hits_come_page_by_page_and_the_last_page_knows_that_it_is_the_last(database, ann, limit: int) -> None:
    place, pages = Place(), []
    while place is not None:
        hits = found(Search(database), ann, "row 1", place, limit=limit)
        pages.append(where(hits))
        assert hits.full == (hits.next is not None)
        place = hits.next
    assert {len(page) for page in pages[:-1]} <= {limit}
    assert pages[-1]
    assert sum(map(len, pages)) == 22


def test_long_records_end_an_answer_sooner(database, ann, monkeypatch) -> None:
    monkeypatch.setattr("depot.search._MOST_CHARS", 1_000)
    hits = found(Search(database, 20), ann, "nowhere")
    assert (hits.searched, hits.next) == (20, Place(1, 20))
    monkeypatch.setattr("depot.search._ROWS_A_STEP", 10)
    assert found(Search(database, 1_000), ann, "nowhere").searched == 40  # ten of them are some 300 characters


def test_what_was_deleted_between_two_pages_is_not_missed(database, ann) -> None:
    database.transact(lambda session: session.delete(session.get(File, 1)), write=True)
    assert where(found(Search(database), ann, "row 7", Place(1, 3))) == [(3, 7)]


def test_values_are_shown_with_every_digit_that_they_came_with() -> None:
    data = '{"a": 1.50, "b": 12345678901234567890, "c": "\\u00e4", "d": [1, "\\u00e4"], "e": null, "f": true, "g": ""}'
    texts = ["1.50", "12345678901234567890", "ä", '[1,"ä"]', "null", "true", ""]
    assert [text for _, text in fields(data)] == texts


def test_a_record_that_would_fill_a_book_is_cut() -> None:
    kept = shown([(f"name {number}", "x" * 1_999) for number in range(500)])
    assert (len(kept), kept[-1]) == (201, ("…", "300 more fields are in the report"))
    assert sum(len(value) for _, value in kept) < 21_000
    assert shown([("long", "x" * 3_000)]) == [("long", "x" * 2_000 + "…")]
    assert shown([("short", "x")]) == [("short", "x")]
