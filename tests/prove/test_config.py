"""What a team says of its backend: all mistakes at once, each with what is allowed there."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.prove.config import KEYS, Config, ConfigInvalid, parse, read_config

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_a_few_lines_say_what_cannot_be_guessed():
    config = parse(
        {
            "serve": "uvicorn shop:app --port {port}",
            "sign-in": {"request": "POST /login", "form": {"name": "a"}, "token": "access_token"},
            "upload": {"request": "POST /files", "file": "file", "id": "id", "content": "/files/{id}/content"},
            "export": {"request": "GET /items.csv", "fill": {"request": "POST /files", "file": "file"}},
            "slow": ["GET /reports/year"],
            "dependencies": {"HOOK": "stand-in"},
        }
    )
    assert config.upload is not None
    assert (config.upload.method, config.upload.path, config.upload.file) == ("POST", "/files", "file")
    assert config.export is not None
    assert config.export.fill is not None
    assert config.sign_in is not None
    assert config.sign_in.header == "Authorization: Bearer {token}"
    assert [one.shown for one in config.slow] == ["GET /reports/year"]


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigInvalid) as raised:
        parse(
            {"uplaod": "POST /x", "read": "FETCH /x", "ready": "health", "upload": {"fiel": "x"}, "ready-within-s": -1}
        )
    said = str(raised.value)
    assert "5 mistake" in said or "6 mistake" in said
    assert "did you mean 'upload'" in said
    assert "did you mean 'file'" in said
    assert "Methods: GET, POST" in said
    assert "`request` is missing" in said
    assert "a path begins with /" in said


def test_the_allowed_words_are_named():
    with pytest.raises(ConfigInvalid) as raised:
        parse({"nonsense": 1})
    assert all(key in str(raised.value) for key in KEYS)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), JUNK, max_size=4))
def test_whatever_is_written_is_understood_or_explained(table):
    with contextlib.suppress(ConfigInvalid):
        assert isinstance(parse(table), Config)


def test_a_project_without_a_configuration_has_an_empty_one(tmp_path):
    assert read_config(tmp_path).read is None
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert read_config(tmp_path).read is None


def test_a_file_of_its_own_may_have_the_keys_alone(tmp_path):
    file = tmp_path / "prove.toml"
    file.write_text('read = "GET /items"\n')
    config = read_config(tmp_path, file)
    assert config.read is not None
    assert config.read.path == "/items"


def test_a_file_that_is_no_toml_is_named(tmp_path):
    (tmp_path / "pyproject.toml").write_text("this is = = no toml")
    with pytest.raises(ConfigInvalid, match=r"pyproject\.toml is not TOML"):
        read_config(tmp_path)
