"""What strace wrote, read; and whether data was on the disk before its answer left."""

import pytest

from holdfast.decide.durability import Asked, Danger, World, durability
from holdfast.decide.syscalls import DELETED, calls, unescaped

ANSWER = 'sendto(9<TCP:[127.0.0.1:80->127.0.0.1:4444]>, "HTTP/1.1 201 Created\\r\\n"..., 180, 0, NULL, 0) = 180'
CREATE = 'openat(AT_FDCWD</srv>, "/d/part", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 5</d/part>'
WRITE = 'write(5</d/part>, "one,prove-1,two"..., 100) = 100'
SYNC = "fsync(5</d/part>) = 0"
RENAME = 'rename("/d/part", "/d/whole") = 0'
FOLDER = "fsync(6</d>) = 0"


def lines(*texts: str) -> list[str]:
    """Lines of strace, one after the other, by one thread; a text may begin with another thread and a colon."""
    found = []
    for number, text in enumerate(texts):
        thread, text = text.split(":", 1) if text[:2] in {"7:", "8:"} else ("1", text)
        found.append(f"{thread} {100 + number}.000000 {text}\n")
    return found


def judged(*texts: str, size: int = 100, there=(), began: float = 0.0, logs=()):
    asked = Asked(began, 201, 4444, 80, "prove-1", size)
    return durability(calls(lines(*texts)), asked, World("/d", "/srv", {"/d/shop.db", *there}, logs))


def dangers(*texts: str, **more) -> list[tuple[str, Danger]]:
    found = judged(*texts, **more)
    assert found.answered
    return [tuple(one) for one in found.unsafe]


# -- reading --


def test_a_call_has_its_name_its_descriptors_and_what_it_returned():
    call, *_ = calls(lines('pwrite64(18</d/a b.sqlite-wal>, "x, (y", 4096, 24752) = 4096'))
    assert (call.name, call.result, call.descriptors) == ("pwrite64", 4096, [("18", "/d/a b.sqlite-wal")])


def test_a_call_that_another_thread_interrupted_is_whole_and_keeps_both_moments():
    text = ["7:fsync(5</d/part> <unfinished ...>", '8:write(6</d/x>, "y", 1) = 1', "7:<... fsync resumed>) = 0"]
    write, sync = calls(lines(*text))
    assert (write.name, sync.name, sync.began, sync.ended) == ("write", "fsync", 0, 2)
    assert sync.descriptors == [("5", "/d/part")]


def test_what_fails_what_is_no_call_and_what_never_ended_is_told_apart():
    text = [
        'openat(AT_FDCWD</srv>, "x", O_RDONLY) = -1 ENOENT (No such file or directory)',
        "--- SIGCHLD {si_signo=SIGCHLD} ---",
        "+++ exited with 0 +++",
        "fsync(5</d/part> <unfinished ...>",
    ]
    assert [(call.name, call.result) for call in calls([*lines(*text), "rubbish\n", ""])] == [("openat", -1)]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('rename("/d/a", "/d/b") = 0', ["/d/a", "/d/b"]),
        ('renameat2(AT_FDCWD</srv>, "a", 5</d>, "b, \\"c\\"", 0) = 0', ["/srv/a", '/d/b, "c"']),
        ('unlink("x-journal") = 0', ["x-journal"]),
        ('mkdir("/d/\\303\\244", 0777) = 0', ["/d/ä"]),
    ],
)
def test_paths_are_absolute_where_the_folder_is_known(text, paths):
    assert next(calls(lines(text))).paths == paths


def test_sockets_devices_and_files_without_a_name_are_known_by_their_descriptors():
    text = "sendfile(9<TCP:[127.0.0.1:80->127.0.0.1:4444]>, 5</d/#12>(deleted), NULL, 100) = 100"
    assert [what for _, what in next(calls(lines(text))).descriptors] == [
        "TCP:[127.0.0.1:80->127.0.0.1:4444]",
        f"/d/#12{DELETED}",
    ]
    opened = next(calls(lines('openat(AT_FDCWD</srv>, "/dev/null", O_RDWR) = 3</dev/null<char 1:3>>')))
    assert opened.opened == "/dev/null"


def test_escapes_are_undone():
    assert unescaped(r"a\tb\\c\"\x41\101\0") == 'a\tb\\c"AA\0'


# -- judging --


def test_written_synced_renamed_and_the_folder_synced_is_safe():
    found = judged(CREATE, WRITE, SYNC, RENAME, FOLDER, ANSWER)
    assert (found.files, found.unsafe, found.syncs, found.unseen) == (("/d/whole",), (), 2, "")


def test_a_write_after_the_sync_is_not_covered_by_it():
    assert dangers(CREATE, WRITE, SYNC, WRITE, RENAME, FOLDER, ANSWER, size=200) == [("/d/whole", Danger.UNSYNCED)]


def test_a_sync_that_began_before_the_write_ended_does_not_cover_it():
    text = ["7:fsync(5</d/part> <unfinished ...>", WRITE, "7:<... fsync resumed>) = 0", RENAME, FOLDER, ANSWER]
    assert dangers(CREATE, *text) == [("/d/whole", Danger.UNSYNCED)]


def test_a_sync_that_ends_after_the_answer_comes_too_late():
    text = ["7:fsync(5</d/part> <unfinished ...>", ANSWER, "7:<... fsync resumed>) = 0"]
    assert (("/d/part", Danger.UNSYNCED)) in dangers(CREATE, WRITE, *text)


def test_a_name_whose_folder_is_not_synced_may_be_gone():
    assert dangers(CREATE, WRITE, SYNC, RENAME, ANSWER) == [("/d/whole", Danger.NAMELESS)]
    assert dangers(CREATE, WRITE, FOLDER, SYNC, RENAME, ANSWER) == [("/d/whole", Danger.NAMELESS)]
    assert dangers(CREATE, WRITE, SYNC, ANSWER) == [("/d/part", Danger.NAMELESS)]


def test_a_file_that_was_there_before_needs_no_new_name():
    assert dangers(CREATE, WRITE, SYNC, ANSWER, there={"/d/part"}) == []


def test_a_folder_that_is_new_needs_its_own_to_be_synced():
    made = 'mkdir("/d/new", 0777) = 0'
    into = ['rename("/d/part", "/d/new/whole") = 0', "fsync(6</d/new>) = 0"]
    assert dangers(CREATE, WRITE, SYNC, made, *into, ANSWER) == [("/d/new/whole", Danger.NAMELESS)]
    assert dangers(CREATE, WRITE, SYNC, made, *into, FOLDER, ANSWER) == []


@pytest.mark.parametrize("everything", ["sync() = 0", "syncfs(5</d/part>) = 0"])
def test_syncing_everything_is_enough(everything):
    assert dangers(CREATE, WRITE, RENAME, everything, ANSWER) == []


def test_a_sync_that_failed_is_none():
    assert dangers(CREATE, WRITE, "fsync(5</d/part>) = -1 EIO (Input/output error)", RENAME, FOLDER, ANSWER) == [
        ("/d/whole", Danger.UNSYNCED)
    ]


def test_a_file_whose_writes_wait_for_the_disk_needs_no_sync():
    opened = 'openat(AT_FDCWD</srv>, "/d/part", O_WRONLY|O_CREAT|O_DSYNC, 0666) = 5</d/part>'
    assert dangers(opened, WRITE, RENAME, FOLDER, ANSWER) == []
    assert dangers(opened, WRITE, ANSWER, began=100.5) == []


def test_a_copy_holds_what_was_copied():
    copy = "copy_file_range(5</d/part>, NULL, 7</d/copy>, NULL, 100, 0) = 100"
    gone = 'unlink("/d/part") = 0'
    assert dangers(CREATE, WRITE, copy, gone, ANSWER, there={"/d/copy"}) == [("/d/copy", Danger.UNSYNCED)]


def test_a_file_without_a_name_counts_once_it_has_one():
    opened = 'openat(AT_FDCWD</srv>, "/d", O_RDWR|O_TMPFILE, 0600) = 5</d/#12>(deleted)'
    write = 'write(5</d/#12>(deleted), "prove-1"..., 100) = 100'
    link = 'linkat(AT_FDCWD</srv>, "/proc/self/fd/5", AT_FDCWD</srv>, "/d/whole", AT_SYMLINK_FOLLOW) = 0'
    assert dangers(opened, write, link, FOLDER, ANSWER) == [("/d/whole", Danger.UNSYNCED)]
    assert dangers(opened, write, "fsync(5</d/#12>(deleted)) = 0", link, FOLDER, ANSWER) == []


def test_temporary_files_and_logs_do_not_count():
    log = 'write(2</d/app.log>, "prove-1"..., 100) = 100'
    output = 'write(1</d/output>, "prove-1"..., 100) = 100'
    spooled = 'write(8</tmp/#77>(deleted), "prove-1"..., 100) = 100'
    good = [CREATE, WRITE, SYNC, RENAME, FOLDER]
    assert dangers(*good, log, output, spooled, ANSWER, logs={"/d/output"}) == []


def test_what_is_written_after_the_answer_is_too_late():
    assert dangers(ANSWER, CREATE, WRITE, SYNC) == [("/d/part", Danger.LATER)]
    assert dangers(CREATE, WRITE, SYNC, RENAME, FOLDER, ANSWER, WRITE) == []  # all of it was there in time


def test_bytes_that_were_changed_on_their_way_are_found_by_their_number():
    packed = 'write(5</d/part>, "\\37\\213", 80) = 80'
    assert dangers(CREATE, packed, RENAME, FOLDER, ANSWER) == [("/d/whole", Danger.UNSYNCED)]


# -- SQLite --

JOURNAL = 'openat(AT_FDCWD</srv>, "/d/shop.db-journal", O_RDWR|O_CREAT, 0644) = 6</d/shop.db-journal>'
COMMIT = [
    JOURNAL,
    'pwrite64(6</d/shop.db-journal>, "\\0", 4096, 0) = 4096',
    "fdatasync(6</d/shop.db-journal>) = 0",
    FOLDER,
    'pwrite64(5</d/shop.db>, "\\r\\0", 4096, 0) = 4096',
    "fdatasync(5</d/shop.db>) = 0",
    'unlink("/d/shop.db-journal") = 0',
]
LOGGED = 'pwrite64(6</d/shop.db-wal>, "\\n\\0", 4096, 0) = 4096'


def test_a_journal_that_is_removed_has_to_be_gone_for_good():
    assert dangers(*COMMIT, ANSWER, size=0) == [("/d/shop.db-journal", Danger.UNDONE)]
    assert dangers(*COMMIT, FOLDER, ANSWER, size=0) == []


def test_a_database_that_is_not_synced_is_unsafe():
    unsynced = [line for line in COMMIT if not line.startswith("fdatasync")]
    assert dangers(*unsynced, FOLDER, ANSWER, size=0) == [("/d/shop.db", Danger.UNSYNCED)]


def test_a_write_ahead_log_counts_and_what_it_covers_does_not():
    later = 'pwrite64(5</d/shop.db>, "\\r\\0", 4096, 0) = 4096'
    synced = "fdatasync(6</d/shop.db-wal>) = 0"
    there = {"/d/shop.db-wal"}
    assert dangers(LOGGED, ANSWER, size=0, there=there) == [("/d/shop.db-wal", Danger.UNSYNCED)]
    assert dangers(LOGGED, synced, later, ANSWER, size=0, there=there) == []


def test_a_database_is_known_by_how_it_begins():
    write = 'pwrite64(5</d/data>, "SQLite format 3\\0"..., 4096, 0) = 4096'
    assert dangers(write, ANSWER, size=0) == [("/d/data", Danger.UNSYNCED)]


# -- elsewhere --


def test_data_that_went_to_another_server_is_told():
    sent = 'sendto(8<TCP:[127.0.0.1:50000->10.0.0.7:5432]>, "prove-1"..., 100, 0, NULL, 0) = 100'
    found = judged(sent, ANSWER)
    assert (found.files, found.elsewhere) == ((), ("10.0.0.7:5432",))
    assert found.unseen


def test_an_answer_that_was_not_seen_decides_nothing():
    other = ANSWER.replace("4444", "5555")
    assert not judged(CREATE, WRITE, other).answered
    assert not judged(CREATE, WRITE, ANSWER.replace("201 Created", "100 Continue")).answered
    assert judged(CREATE, WRITE, ANSWER.replace("TCP:[127.0.0.1:80->127.0.0.1:4444]", "socket:[77]")).answered


def test_io_uring_is_told_where_the_data_was_not_seen():
    ring = "io_uring_enter(7<anon_inode:[io_uring]>, 1, 0, 0, NULL, 8) = 1"
    assert "io_uring" in judged(ring, ANSWER).unseen
    assert judged(ring, CREATE, WRITE, SYNC, RENAME, FOLDER, ANSWER).unseen == ""
