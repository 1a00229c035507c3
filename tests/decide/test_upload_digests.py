"""Digests of bodies and of wholes."""

import hashlib
from base64 import b64encode

import pytest

from holdfast.decide.uploads.digests import (
    HASHES,
    SIZES,
    checksum,
    content_digests,
    mismatched,
    repr_digest,
    whole_digests,
)
from holdfast.decide.uploads.errors import InvalidDigest, UnsupportedDigest, WrongDigest
from holdfast.decide.uploads.head import Head
from holdfast.decide.uploads.vocabulary import Digest
from holdfast.errors import BadRequest

HELLO = hashlib.sha256(b'{"hello": "world"}\n').digest()


def of(name: str, value: str) -> Head:
    return Head("PUT", {name: value})


def test_the_example_of_rfc_9530_is_read():
    head = of("repr-digest", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:")
    assert whole_digests(head) == (Digest("sha-256", HELLO),)
    assert content_digests(head) == ()


def test_every_known_algorithm_is_kept_and_others_beside_it_are_passed_over():
    sha512 = hashlib.sha512(b"x").digest()
    text = f"md5=:AAAA:, sha-512=:{b64encode(sha512).decode()}:, sha-256=:{b64encode(HELLO).decode()}:, new=(1 2)"
    assert content_digests(of("content-digest", text)) == (Digest("sha-512", sha512), Digest("sha-256", HELLO))


@pytest.mark.parametrize("text", ["md5=:Uwq9xB4MJtDTknVOSEE1WA==:", "crc32c=1, unixsum=5"])
def test_digests_that_could_not_be_checked_are_refused_with_those_that_can(text):
    with pytest.raises(UnsupportedDigest) as caught:
        content_digests(of("content-digest", text))
    assert caught.value.headers == {"want-content-digest": "sha-256=10, sha-512=9"}
    assert (
        caught.value.members["type"] == "https://iana.org/assignments/http-problem-types#digest-unsupported-algorithms"
    )
    assert {entry["header"] for entry in caught.value.members["unsupported_algorithms"]} == {"Content-Digest"}


@pytest.mark.parametrize(
    "text", ["", "sha-256", "sha-256=abc", "sha-256=1", "sha-256=(:AA==:)", "sha-256=:A A:", "nonsense!"]
)
def test_a_field_that_can_not_be_read_is_refused(text):
    with pytest.raises(BadRequest):
        content_digests(of("content-digest", text))


def test_a_digest_of_the_wrong_size_is_refused_with_the_reason():
    with pytest.raises(InvalidDigest) as caught:
        whole_digests(of("repr-digest", "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4:"))
    assert caught.value.members["invalid_digests"] == [
        {"algorithm": "sha-512", "header": "Repr-Digest", "reason": "The digest has 32 bytes, not 64."}
    ]


def test_the_checksum_of_the_tus_specification_is_read():
    head = of("upload-checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")
    assert checksum(head) == (Digest("sha1", hashlib.sha1(b"hello world").digest()),)
    assert checksum(Head("PATCH", {})) == ()


@pytest.mark.parametrize(
    ("tus", "ours"), [("sha1", "sha1"), ("md5", "md5"), ("sha256", "sha-256"), ("sha512", "sha-512")]
)
def test_tus_has_four_algorithms(tus, ours):
    value = hashlib.new(HASHES[ours], b"x").digest()
    assert checksum(of("upload-checksum", f"{tus} {b64encode(value).decode()}")) == (Digest(ours, value),)
    assert len(value) == SIZES[ours]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha1",
        "sha1:abc",
        "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        "sha1  x",
        "sha1 a=b",
        "sha1 " + "A" * 500,
        "sha1 AAA",
    ],
)
def test_a_checksum_that_can_not_be_read_is_refused(text):
    with pytest.raises(BadRequest):
        checksum(of("upload-checksum", text))


def test_a_checksum_of_an_unknown_algorithm_or_the_wrong_size_is_refused():
    with pytest.raises(UnsupportedDigest):
        checksum(of("upload-checksum", "crc32 AAAAAA=="))
    with pytest.raises(InvalidDigest):
        checksum(of("upload-checksum", "sha1 AAAA"))


def test_only_those_that_differ_are_found():
    right, wrong = Digest("sha-256", HELLO), Digest("md5", b"\0" * 16)
    found = {"sha-256": HELLO, "md5": hashlib.md5(b'{"hello": "world"}\n').digest()}
    assert mismatched([right, wrong], found) == (wrong,)
    assert mismatched([right], found) == ()


def test_a_wrong_digest_tells_what_was_sent_and_not_what_was_found():
    error = WrongDigest([Digest("sha-256", HELLO)], "Repr-Digest")
    assert error.members["mismatched_digests"] == [
        {
            "algorithm": "sha-256",
            "provided_digest": ":RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
            "header": "Repr-Digest",
        }
    ]
    assert error.status == 400


def test_a_digest_is_written_as_rfc_9530_has_it():
    assert repr_digest(HELLO.hex()) == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
