import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from holdfast.ids import uuid7


def test_an_id_is_a_uuid_of_version_7():
    made = uuid.UUID(uuid7())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_an_id_begins_with_the_time_it_was_made():
    before = time.time_ns() // 1_000_000
    made = int(uuid7().replace("-", "")[:12], 16)
    assert before <= made <= time.time_ns() // 1_000_000


def test_ids_from_many_threads_differ():
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: [uuid7() for _ in range(5000)], range(8)))
    assert len({one for several in made for one in several}) == 40_000


def test_a_forked_child_does_not_repeat_its_parents_ids():
    uuid7()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, " ".join(uuid7()[14:] for _ in range(50)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = set(os.read(read, 65536).decode().split())
    assert theirs.isdisjoint({uuid7()[14:] for _ in range(300)})
    os.close(read)
    os.close(write)
