"""Two servers, as on two machines, that share nothing but one S3 bucket and one PostgreSQL database."""

import secrets

import httpx2
import pytest
import s3_servers
from postgres import postgres
from uploading import TUS, Shop, noise, received, sha256, shop, until


@pytest.fixture(scope="module")
def environ(seaweed: s3_servers.Server):
    with postgres() as url:
        yield {
            **seaweed.environ(),
            "BLOBS": f"s3://{s3_servers.BUCKET}/{secrets.token_hex(4)}",
            "LEDGER": url,
            "HOLDFAST_UPLOADS_PACE_CHECKPOINT_S": "0.3",
            "SCAN_S": "0.1",
        }


@pytest.fixture(scope="module")
def two(environ, tmp_path_factory):
    with (
        shop(tmp_path_factory.mktemp("one"), **environ) as one,
        shop(tmp_path_factory.mktemp("other"), **environ) as other,
    ):
        yield one, other


def at(served: Shop, location: str) -> str:
    return f"{served.url}/{location[-32:]}"


def told(one: Shop, other: Shop, digest: str) -> bool:
    return digest in [line[2] for line in one.finished() + other.finished()]


def test_an_upload_goes_on_at_the_other(two):
    one, other = two
    data = noise(13_000_000, 1)
    location = one.begin(len(data))
    assert one.patch(location, 0, data[:6_000_001]).status_code == 204
    assert other.offset(at(other, location)) == 6_000_001
    done = other.patch(at(other, location), 6_000_001, data[6_000_001:])
    assert done.status_code == 204, done.text
    assert one.content(done.headers["holdfast-file-id"]) == data
    assert [line[2] for line in other.finished()] == [sha256(data)]


def test_after_a_silent_drop_the_other_goes_on(two):
    one, other = two
    data = noise(3_000_000, 2)
    location = one.begin(len(data))
    with one.half_open(location, 0, len(data), data[:2_000_000]) as silent:
        until(lambda: other.offset(at(other, location)) > 0, "a checkpoint while more is awaited")
        offset = other.offset(at(other, location))
        done = other.patch(at(other, location), offset, data[offset:])
        assert done.status_code == 204, done.text
        assert received(silent).startswith(b"HTTP/1.1 409")
    assert one.content(done.headers["holdfast-file-id"]) == data


def test_no_quota_is_overshot_between_them(two):
    user = f"poor-{secrets.token_hex(4)}"
    statuses = [two[number % 2].create(100, user=user).status_code for number in range(24)]
    assert statuses.count(201) == 10


def test_what_is_killed_at_its_end_is_finished_by_another(two, environ, tmp_path):
    one, other = two
    data = noise(6_000_000, 3)
    with shop(tmp_path, **{**environ, "SCAN_S": "60"}) as third:
        location = third.begin(len(data), name="slow-scan")
        with third.half_open(location, 0, len(data), data):
            until(lambda: httpx2.head(at(one, location), headers=TUS).status_code == 423, "its end is under way")
            third.running.process.kill()
            third.running.ended()
    until(lambda: told(one, other, sha256(data)), "one of the others finishes it")
    head = httpx2.head(at(other, location), headers=TUS)
    assert one.content(head.headers["holdfast-file-id"]) == data
    assert third.finished() == []
