import importlib
import logging
import os
from pathlib import Path
from typing import Annotated

import pytest
from moorings import Boat, Cargo, Papers

import holdfast
from holdfast import settings
from holdfast.settings import Settings, option
from holdfast.settings.sources import Secrets

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
PACKAGE = Path(holdfast.__file__ or "").parent
PLANTED = "plantedvalue"


# -- names that nobody declared --


def test_unknown_variables_and_tables_are_listed_with_what_was_probably_meant(tmp_path: Path):
    (tmp_path / "holdfast.toml").write_text("[baot]\nport = 1\n[boat]\nport = 81\n")
    environ = {
        "HOLDFAST_BOAT_DELAY": "3",
        "HOLDFAST_SOMETHING_NEWER": "3",
        "HOLDFAST_BOAT_PORT": "80",
        "BERTH": "80",
        "HOLDFAST_BAOT_PORT": "80",
        "PAPERS_ONWER": "Ann",
        "PAPERS_PLEASE": "1",
        "PATH": "/bin",
    }
    said = [str(one) for one in settings.unknown(environ=environ, folder=tmp_path)]
    assert said == [
        "HOLDFAST_BAOT_PORT (environment) is not a setting; did you mean HOLDFAST_BOAT_PORT?",
        "HOLDFAST_BOAT_DELAY (environment) is not a setting; did you mean HOLDFAST_BOAT_DELAY_S?",
        "HOLDFAST_SOMETHING_NEWER (environment) is not a setting",
        "PAPERS_ONWER (environment) is not a setting; did you mean PAPERS_OWNER?",
        "[baot] (holdfast.toml) is not a setting; did you mean boat?",
    ]


def test_an_unknown_variable_warns_and_does_not_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    environ = {"HOLDFAST_BOAT_DELAY": "3"}
    assert settings.load(Boat, environ, tmp_path) == Boat()
    settings.warn_of_unknown(environ=environ, folder=tmp_path)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "setting unknown")
    assert record.__dict__["setting"] == "HOLDFAST_BOAT_DELAY"
    assert record.__dict__["did_you_mean"] == "HOLDFAST_BOAT_DELAY_S"


# -- for people --


def test_explain_gives_each_setting_with_its_value_and_source(tmp_path: Path):
    (tmp_path / "holdfast.toml").write_text("[boat]\nport = 81\n")
    (tmp_path / "papers_seal").write_text(PLANTED)
    environ = {"HOLDFAST_BOAT_DELAY_S": "2.0", "HOLDFAST_SECRETS_DIR": str(tmp_path), "HOLDFAST_BOAT_NAME": "K"}
    rows = settings.explain([Boat, Papers], environ=environ, folder=tmp_path)
    assert [(row.variable, row.value, row.source) for row in rows] == [
        ("HOLDFAST_BOAT_DELAY_S", "2", "environment"),
        ("HOLDFAST_BOAT_PORT", "81", "holdfast.toml"),
        ("HOLDFAST_BOAT_NAME", '"K"', "environment"),
        ("HOLDFAST_BOAT_AFLOAT", "true", "default"),
        ("PAPERS_SEAL", "***", "secret file papers_seal"),
        ("PAPERS_OWNER", "not set", "missing"),
    ]
    assert [row.fault for row in rows if row.fault] == [
        'HOLDFAST_BOAT_NAME: found "K", allowed: a text of at least 2 characters and that matches [a-z]+',
        "PAPERS_OWNER: missing, allowed: a text; Who owns it.",
    ]
    assert rows[0].allowed == "a number from 0 to 3600"
    assert PLANTED not in repr(rows)


def test_a_login_inside_a_url_is_shown_neither_as_a_value_nor_in_a_fault(tmp_path: Path):
    class Store(Settings, prefix="STORE", title="store"):
        url: Annotated[str, option("Where.", pattern="s3:.*")] = "s3://store"

    for url in ("s3://ann:pl@nted/x@host/b", "postgres://ann:pl@nted@host/b"):
        (row,) = settings.explain([Store], environ={"STORE_URL": url}, folder=tmp_path)
        assert "nted" not in repr(row)
        assert "://***@host/b" in row.value


def test_render_aligns_the_columns_marks_faults_and_keeps_to_the_width(tmp_path: Path):
    environ = {"CARGO_HOLD": "/x" * 100, "BERTH": "-3"}
    rows = settings.explain([Boat, Cargo], environ=environ, folder=tmp_path)
    lines = settings.render(rows, 80).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0] == "boat: How a boat is moored."
    by_name = {line[2:].split()[0]: line for line in lines if line[2:].startswith(("HOLDFAST_", "CARGO_"))}
    assert list(by_name) == [row.variable for row in rows]
    assert {line.index(row.source, 30) for row, line in zip(rows, by_name.values(), strict=True)} == {
        by_name["HOLDFAST_BOAT_AFLOAT"].index("default")
    }
    assert [name for name, line in by_name.items() if line.startswith("!")] == ["HOLDFAST_BOAT_PORT"]
    assert "…" in by_name["CARGO_HOLD"]
    assert settings.render([]) == ""


# -- Holdfast's own --


def own() -> list[type[Settings]]:
    """Import the modules that declare settings, and list what they declare."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "(Settings, prefix=" in path.read_text():
            importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    return settings.declared("holdfast")


def test_the_classes_of_a_package_are_listed_without_those_of_others():
    assert Secrets in own()
    assert not {Boat, Cargo, Papers} & set(own())
    assert {Boat, Cargo, Papers, Secrets} <= set(settings.declared())
    neighbour = type("Neighbour", (Settings,), {"__module__": "holdfastened"}, prefix="NEIGHBOUR", title="neighbour")
    assert settings.declared("holdfastened") == [neighbour]
    assert neighbour not in settings.declared("holdfast")


def test_no_part_of_holdfast_has_more_than_five_settings():
    assert {cls.__name__: count for cls in own() if (count := len(settings.options_of(cls))) > 5} == {}


def test_no_two_settings_of_holdfast_share_a_variable_or_a_title():
    variables = [option.variable for cls in own() for option in settings.options_of(cls)]
    titles = [cls.settings_title for cls in own()]
    assert sorted(set(variables)) == sorted(variables)
    assert sorted(set(titles)) == sorted(titles)


def test_every_setting_of_holdfast_is_described_and_every_class_says_what_it_is_about():
    assert all(cls.settings_prefix.split("_")[0] == "HOLDFAST" for cls in own())
    rows = settings.explain(own(), environ={}, folder=PACKAGE)
    assert [row.variable for row in rows if not row.doc.endswith(".") or not row.about.endswith(".")] == []


def test_the_page_lists_every_setting_of_holdfast():
    """To write the tables anew: WRITE_DOCS=1 python -m pytest tests/test_settings_shown.py."""
    page = PAGE.read_text()
    fresh = settings.refreshed(page, own())
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(fresh)
    assert PAGE.read_text() == fresh, (
        "write the tables anew: WRITE_DOCS=1 python -m pytest tests/test_settings_shown.py"
    )


def test_a_bar_in_a_cell_does_not_end_it():
    class Barred(Settings, prefix="BARRED", title="barred"):
        x: Annotated[str, option("Either.", pattern="a|b")] = "a"

    assert settings.markdown([Barred]).splitlines()[-1] == r"| `BARRED_X` | a | a text that matches a\|b | Either. |"


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        settings.refreshed("# Settings", [Boat])
