"""Names that clients give, and what a file is by its bytes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decide.names import LONGEST, disposition, kept_name, name_in
from holdfast.decide.uploads.sniff import ENOUGH, SIGNATURES, UNKNOWN, sniffed


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("sales 2026.csv", "sales 2026.csv"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("C:\\Users\\ann\\x.csv", "C:\\Users\\ann\\x.csv"),
        ("a\0b\r\nc.csv", "a\ufffdb\ufffd\ufffdc.csv"),
        ("invoice\u202efdp.exe", "invoice\ufffdfdp.exe"),
        ("a\u200fb", "a\ufffdb"),
        ("\ud800.csv", "\ufffd.csv"),
        ("   ", "unnamed"),
        ("", "unnamed"),
        ("x" * 1000, "x" * 255),
    ],
)
def test_a_name_is_kept_but_nothing_that_cannot_be_shown(given_name, kept):
    assert kept_name(given_name) == kept


@given(st.text(max_size=600))
def test_a_kept_name_is_bounded_shown_and_stays_the_same(name):
    kept = kept_name(name)
    assert 0 < len(kept) <= LONGEST
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(one) for one in kept}
    assert kept_name(kept) == kept


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=plain.csv", "plain.csv"),
        ("inline; filename=\"file name.jpg\"; filename*=UTF-8''file%20name.jpg", "file name.jpg"),
        ('attachment; filename="with space; and semicolon.csv"', "with space; and semicolon.csv"),
        (r'attachment; filename="quo\"te.csv"', 'quo"te.csv'),
        ("attachment; filename=x.csv; filename*=UTF-8''%e2%82%ac%20rates.csv", "€ rates.csv"),
        ("attachment; filename*=iso-8859-1'en'%A3.csv", "£.csv"),
        ("attachment; filename*=klingon''x; filename=plain.csv", "plain.csv"),
        ("attachment; filename*=UTF-8''a%00b%0d%0ac", "a\ufffdb\ufffd\ufffdc"),
        ("attachment; filename*=UTF-8''%ff%fe", "\ufffd\ufffd"),
        ('attachment; FileName="' + "näme.csv".encode().decode("latin-1") + '"', "näme.csv"),
        ('attachment; filename="' + "caf\xe9.csv" + '"', "café.csv"),
        ('attachment; filename=""', None),
        ("attachment", None),
        ("", None),
        (None, None),
        ('attachment; filename="open', None),
        ("attachment; filename=" + "x" * 5_000, None),
    ],
)
def test_the_name_in_a_content_disposition_is_found(header, name):
    assert name_in(header) == name


@given(st.text(max_size=300))
def test_any_kept_name_survives_the_way_through_a_header(name):
    kept = kept_name(name)
    header = disposition(kept)
    header.encode("ascii")
    assert name_in(header) == kept
    assert not {"\r", "\n", "\0"} & set(header)


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"GIF89a<script>alert(1)</script>", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"JUNK\x24\0\0\0WEBPVP8 ", UNKNOWN),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b"\0\0\0\x18ftypmp42", "video/mp4"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"PK\3\4\x14\0\0\0", "application/zip"),
        (b"PK\3\4" + b"\0" * 26 + b"mimetypeapplication/epub+zip", "application/epub+zip"),
        (b"\0" * 257 + b"ustar\x0000", "application/x-tar"),
        (b"MZ\x90\0", "application/vnd.microsoft.portable-executable"),
        (b"\x7fELF\2\1\1", "application/x-executable"),
        (b"#!/bin/sh\n", "text/x-script"),
        (b"<!DOCTYPE html><title>x</title>", "text/html"),
        (b"\xef\xbb\xbf \n<HTML>", "text/html"),
        (b"<script>alert(1)</script>", "text/html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>", "image/svg+xml"),
        (b"<?xml version='1.0'?>\n<svg:svg>", "image/svg+xml"),
        (b"<!-- a --><svg >", "image/svg+xml"),
        (b"<?xml version='1.0'?><html xmlns='x'>", "text/html"),
        (b"<?xml version='1.0'?><a/>", "application/xml"),
        (b"name,price\nassam,3\n", UNKNOWN),
        (b"{}", UNKNOWN),
        (b"", UNKNOWN),
    ],
)
def test_a_file_is_known_by_its_first_bytes(start, media_type):
    assert sniffed(start) == media_type


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: signature.media_type)
def test_no_signature_hides_behind_one_further_up(signature):
    start = bytearray(b"\0" * ENOUGH)
    if signature.media_type in {"image/webp", "audio/wav", "video/x-msvideo"}:
        start[:4] = b"RIFF"
    if signature.offset == 30:
        start[:4] = b"PK\3\4"
    start[signature.offset : signature.offset + len(signature.bytes)] = signature.bytes
    assert sniffed(bytes(start)) == signature.media_type


@given(st.binary(max_size=64))
def test_whatever_the_bytes_are_they_get_a_media_type(start):
    assert "/" in sniffed(start)
