"""In which order a change became certain: what a kill or a power cut in the middle would take."""

import pytest

from holdfast.decide.durability import Asked, Danger, World, durability
from holdfast.decide.syscalls import calls

ANSWER = 'sendto(9<TCP:[127.0.0.1:80->127.0.0.1:4444]>, "HTTP/1.1 204 No Content\\r\\n"..., 80, 0, NULL, 0) = 80'
PAGE = 'pwrite64(4</d/shop.db>, "SQLite format 3\\0\\20\\0"..., 4096, 0) = 4096'
SYNC_DATABASE = "fdatasync(4</d/shop.db>) = 0"
JOURNAL = 'openat(AT_FDCWD</srv>, "/d/shop.db-journal", O_RDWR|O_CREAT, 0644) = 5</d/shop.db-journal>'
COMMIT = 'unlink("/d/shop.db-journal") = 0'
FOLDER = "fsync(6</d>) = 0"
LOG = 'pwrite64(7</d/shop.db-wal>, "\\0\\1page"..., 4096, 24) = 4096'
SYNC_LOG = "fdatasync(7</d/shop.db-wal>) = 0"
BYTES = 'write(8</d/part>, "one,prove-1,two"..., 100) = 100'
SYNC_BYTES = "fdatasync(8</d/part>) = 0"
SAFE = (JOURNAL, PAGE, SYNC_DATABASE, COMMIT, FOLDER)


def dangers(*texts: str, there=(), offset: int = 0, removes: bool = False) -> list[tuple[str, Danger]]:
    lines = [f"1 {100 + number}.000000 {text}\n" for number, text in enumerate(texts)]
    asked = Asked(0.0, 204, 4444, 80, "prove-1", 0 if removes else 100, offset, removes)
    found = durability(calls(lines), asked, World("/d", "/srv", {"/d/shop.db", *there}))
    assert found.answered
    return [tuple(one) for one in found.unsafe]


# -- a journal --


def test_a_database_with_neither_a_journal_nor_a_log_cannot_undo_what_a_kill_leaves():
    assert dangers(PAGE, SYNC_DATABASE, ANSWER, removes=True) == [("/d/shop.db", Danger.UNJOURNALED)]


@pytest.mark.parametrize("beside", ["/d/shop.db-journal", "/d/shop.db-wal"])
def test_a_journal_that_stays_and_a_log_that_is_emptied_are_enough(beside):
    assert dangers(PAGE, SYNC_DATABASE, ANSWER, removes=True, there=(beside,)) == []


def test_a_journal_that_comes_and_goes_is_enough():
    assert dangers(*SAFE, ANSWER, removes=True) == []


def test_a_database_that_is_new_has_nothing_to_undo():
    made = 'pwrite64(4</d/copy.db>, "SQLite format 3\\0"..., 4096, 0) = 4096'
    found = dangers(*SAFE, made, "fdatasync(4</d/copy.db>) = 0", ANSWER, removes=True)
    assert (Danger.UNJOURNALED not in [danger for _, danger in found]) is True


# -- a removal --


def test_a_removal_that_is_noted_after_its_answer_is_undone_by_a_kill():
    assert dangers(ANSWER, *SAFE, removes=True) == [("/d/shop.db", Danger.LATER)]


def test_a_transaction_that_is_open_when_the_answer_leaves_is_none_yet():
    found = dangers(JOURNAL, 'pwrite64(5</d/shop.db-journal>, "x", 1, 0) = 1', ANSWER, *SAFE[1:], removes=True)
    assert ("/d/shop.db", Danger.LATER) in found


def test_what_goes_on_after_a_removal_that_was_noted_is_another_thing():
    assert dangers(*SAFE, ANSWER, *SAFE, removes=True) == []
    assert dangers('unlink("/d/files/prove-1") = 0', ANSWER, *SAFE, removes=True) == []


def test_a_removal_in_memory_is_seen_nowhere():
    assert dangers(ANSWER, removes=True) == []


# -- an offset --

OFFSET = 70_001  # 0x011171


def noted(text: str) -> str:
    return f'pwrite64(7</d/shop.db-wal>, "\\0\\r{text}x"..., 4096, 24) = 4096'


@pytest.mark.parametrize("text", ["\\1\\21q", "q\\21\\1", "70001"])
def test_an_offset_that_is_safe_before_its_bytes_tells_of_what_may_be_lost(text):
    early = (BYTES, noted(text), SYNC_LOG, SYNC_BYTES, ANSWER)
    assert dangers(*early, offset=OFFSET) == [("/d/shop.db-wal", Danger.EARLY)]
    assert dangers(BYTES, SYNC_BYTES, noted(text), SYNC_LOG, ANSWER, offset=OFFSET) == []


def test_what_else_is_noted_before_the_bytes_are_safe_is_no_offset():
    assert dangers(BYTES, noted("70000"), SYNC_LOG, SYNC_BYTES, ANSWER, offset=OFFSET) == []


def test_a_note_that_was_not_synced_yet_tells_nobody_anything():
    assert dangers(BYTES, noted("70001"), SYNC_BYTES, SYNC_LOG, ANSWER, offset=OFFSET) == []
