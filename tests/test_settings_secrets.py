import copy
import dataclasses
import json
import os
import pickle
from pathlib import Path

import msgspec
import pytest
from moorings import Boat, Papers, faults

from holdfast import settings
from holdfast.settings import Secret
from holdfast.settings.sources import SECRET_BYTES

PLANTED = "plantedvalue"


def test_a_secret_comes_from_the_environment_or_a_file_named_as_its_variable(tmp_path: Path):
    mounted = tmp_path / "secrets"
    mounted.mkdir()
    environ = {"PAPERS_OWNER": "Ann", "HOLDFAST_SECRETS_DIR": str(mounted)}

    def seal() -> Secret | None:
        return settings.load(Papers, environ, tmp_path).seal

    assert seal() is None
    (mounted / "papers_seal").write_text("small letters\r\n")
    assert seal() == Secret("small letters")
    (mounted / "PAPERS_SEAL").write_text("  capitals\n\n")
    assert seal() == Secret("  capitals\n")
    environ["PAPERS_SEAL"] = "variable"
    assert seal() == Secret("variable")


def test_a_mounted_secret_may_be_a_link_as_kubernetes_makes_them(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "papers_seal").write_text(PLANTED)
    (tmp_path / "papers_seal").symlink_to("data/papers_seal")
    environ = {"PAPERS_OWNER": "Ann", "HOLDFAST_SECRETS_DIR": str(tmp_path)}
    assert settings.load(Papers, environ, tmp_path).seal == Secret(PLANTED)


def test_what_is_not_a_secret_is_not_read_from_the_secrets_directory(tmp_path: Path):
    (tmp_path / "PAPERS_OWNER").write_text("Ann")
    environ = {"HOLDFAST_SECRETS_DIR": str(tmp_path)}
    assert faults(Papers, environ=environ, folder=tmp_path) == ("PAPERS_OWNER: missing, allowed: a text; Who owns it.",)


def test_a_secret_in_the_settings_file_is_a_fault_that_does_not_show_it(tmp_path: Path):
    (tmp_path / "holdfast.toml").write_text(f'[papers]\nowner = "Ann"\nseal = "{PLANTED}"\n')
    for environ in ({}, {"PAPERS_SEAL": "another"}):
        (fault,) = faults(Papers, environ=environ, folder=tmp_path)
        assert fault.startswith("PAPERS_SEAL (from holdfast.toml, [papers] seal): found a secret in a file")
        assert PLANTED not in fault


def test_a_wrong_secret_is_named_without_its_value(tmp_path: Path):
    environ = {"PAPERS_OWNER": "Ann", "PAPERS_SEAL": "abc"}
    assert faults(Papers, environ=environ, folder=tmp_path) == (
        "PAPERS_SEAL: found a value (not shown), allowed: a secret of at least 4 characters",
    )


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_folder(path: Path) -> None:
    path.mkdir()


def put_loose_link(path: Path) -> None:
    path.symlink_to("nowhere")


def put_too_much(path: Path) -> None:
    path.write_bytes(b"x" * (SECRET_BYTES + 1))


def put_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (put_pipe, "is not a regular file"),
        (put_folder, "cannot be read (Is a directory)"),
        (put_loose_link, "cannot be read (No such file or directory)"),
        (put_too_much, "is longer than 64 KB"),
        (put_bytes, "is not UTF-8 text"),
    ],
)
def test_a_secret_file_that_cannot_be_one_stops_the_start(tmp_path: Path, put, reason: str):
    put(tmp_path / "papers_seal")
    environ = {"PAPERS_OWNER": "Ann", "HOLDFAST_SECRETS_DIR": str(tmp_path)}
    assert faults(Papers, environ=environ, folder=tmp_path) == (
        f"PAPERS_SEAL (from secret file papers_seal): {reason}, allowed: a secret of at least 4 characters",
    )


def test_a_secret_of_the_largest_size_is_taken(tmp_path: Path):
    (tmp_path / "papers_seal").write_bytes(b"x" * SECRET_BYTES)
    environ = {"PAPERS_OWNER": "Ann", "HOLDFAST_SECRETS_DIR": str(tmp_path)}
    assert settings.load(Papers, environ, tmp_path).seal == Secret("x" * SECRET_BYTES)


def test_a_secrets_directory_that_is_named_must_exist(tmp_path: Path):
    environ = {"HOLDFAST_SECRETS_DIR": "/nowhere/at/all"}
    assert faults(Boat, environ=environ, folder=tmp_path) == (
        'HOLDFAST_SECRETS_DIR: found "/nowhere/at/all", allowed: a folder that exists',
    )


def test_no_printing_formatting_or_encoding_gives_a_secret_away():
    secret = Secret(PLANTED)
    papers = Papers(seal=secret, owner="Ann")
    told = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r}", f"{secret!s}"]
    told += [
        repr(papers),
        str(papers),
        json.dumps([secret], default=str),
        str(dataclasses.asdict(papers)),
        str(vars(papers)),
    ]
    assert all("Secret(***)" in text and PLANTED not in text for text in told)


@pytest.mark.parametrize(
    "encode", [json.dumps, msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, pickle.dumps, vars, list]
)
def test_an_encoder_that_meets_a_secret_fails_instead_of_showing_it(encode):
    for value in (Secret(PLANTED), Papers(seal=Secret(PLANTED), owner="Ann")):
        if encode is vars and isinstance(value, Papers):
            continue  # the dictionary of the settings, in which the secret is still a Secret
        with pytest.raises(TypeError) as caught:
            encode(value)
        assert PLANTED not in str(caught.value)


def test_secrets_compare_with_secrets_alone():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("\udcff") != Secret("é")
    assert {Secret("a"): 1}[Secret("a")] == 1
    assert copy.deepcopy(Secret("a")) == copy.copy(Secret("a"))
    assert Secret("a").reveal() == "a"
