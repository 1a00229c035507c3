import copy
import dataclasses
import enum
import importlib
import json
import logging
import os
import pickle
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

import holdfast
from holdfast import settings
from holdfast.errors import SettingsInvalid
from holdfast.settings import Secret, Settings, option
from holdfast.settings.sources import SECRET_BYTES, Secrets

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
PACKAGE = Path(holdfast.__file__ or "").parent


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Boat(Settings, prefix="HOLDFAST_BOAT", title="boat"):
    """How a boat is moored."""

    delay_s: Annotated[float, option("Seconds to wait.", ge=0, le=3600)] = 5.0
    port: Annotated[int, option("The port to call at.", ge=0, le=65535, also="BERTH")] = 8000
    name: Annotated[str, option("What it is called.", min_length=2, pattern="[a-z]+")] = "kelp"
    afloat: Annotated[bool, option("Whether it swims.")] = True


class Cargo(Settings, prefix="CARGO", title="cargo"):
    """What a boat carries."""

    hold: Annotated[Path, option("Where it lies.")] = Path("hold")
    colour: Annotated[Colour, option("Its colour.")] = Colour.RED
    level: Annotated[Literal["DEBUG", "INFO"], option("How much is told.")] = "INFO"
    goods: Annotated[tuple[str, ...], option("What it is.")] = ()
    crates: Annotated[int | None, option("How many at most.", gt=0)] = 10


class Papers(Settings, prefix="PAPERS", title="papers"):
    """What the harbour asks for."""

    seal: Annotated[Secret | None, option("The seal.", min_length=4)] = None
    owner: Annotated[str, option("Who owns it.")]


def boat(folder: Path, **environ: str) -> Boat:
    return settings.load(
        Boat, environ={f"HOLDFAST_BOAT_{key.upper()}": value for key, value in environ.items()}, folder=folder
    )


def cargo(folder: Path, **environ: str) -> Cargo:
    return settings.load(
        Cargo, environ={f"CARGO_{key.upper()}": value for key, value in environ.items()}, folder=folder
    )


def faults(*classes: type[Settings], environ: dict[str, str], folder: Path) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        settings.load_all(*classes, environ=environ, folder=folder)
    return caught.value.faults


# -- where a value comes from --


def test_without_any_source_the_defaults_count(tmp_path: Path):
    assert boat(tmp_path) == Boat(delay_s=5.0, port=8000, name="kelp", afloat=True)


def test_a_variable_goes_before_the_file_and_the_file_before_the_default(tmp_path: Path):
    (tmp_path / "holdfast.toml").write_text("[boat]\ndelay_s = 7\nport = 81\n")
    assert boat(tmp_path, port="82") == Boat(delay_s=7.0, port=82)


def test_pyproject_is_read_when_there_is_no_file_of_its_own(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text("[tool.holdfast.boat]\nport = 81\n[tool.other]\nboat = 1\n")
    assert boat(tmp_path).port == 81
    (tmp_path / "holdfast.toml").write_text("[boat]\ndelay_s = 7\n")
    assert boat(tmp_path) == Boat(delay_s=7.0)


@pytest.mark.parametrize("text", ["", "[tool]\n", "[tool.other]\nx = 1\n", "tool = 3\n"])
def test_a_pyproject_that_says_nothing_of_holdfast_is_passed_over(tmp_path: Path, text: str):
    (tmp_path / "pyproject.toml").write_text(text)
    assert boat(tmp_path) == Boat()


def test_the_process_environment_and_the_current_folder_are_read_when_none_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "holdfast.toml").write_text("[boat]\ndelay_s = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_BOAT_PORT", "83")
    assert settings.load(Boat) == Boat(delay_s=7.0, port=83)


def test_an_empty_variable_is_as_good_as_none(tmp_path: Path):
    (tmp_path / "holdfast.toml").write_text("[boat]\nport = 81\n")
    assert boat(tmp_path, port="", name="") == Boat(port=81)


def test_a_second_variable_is_read_when_the_first_is_not_set(tmp_path: Path):
    assert settings.load(Boat, environ={"BERTH": "90"}, folder=tmp_path).port == 90
    both = {"BERTH": "90", "HOLDFAST_BOAT_PORT": "91"}
    assert settings.load(Boat, environ=both, folder=tmp_path).port == 91
    assert faults(Boat, environ={"BERTH": "x"}, folder=tmp_path) == (
        'HOLDFAST_BOAT_PORT (from BERTH): found "x", allowed: a whole number from 0 to 65535',
    )


# -- types --


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("1", True),
        ("Yes", True),
        (" on ", True),
        ("FALSE", False),
        ("0", False),
        ("no", False),
        ("off", False),
    ],
)
def test_a_truth_value_is_read_from_the_usual_words(tmp_path: Path, text: str, value: bool):
    assert boat(tmp_path, afloat=text).afloat is value


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), (" 2.5 ", 2.5), ("1e3", 1000.0), (".5", 0.5), ("+3.", 3.0)])
def test_a_number_is_read_as_a_float(tmp_path: Path, text: str, value: float):
    delay = boat(tmp_path, delay_s=text).delay_s
    assert (delay, type(delay)) == (value, float)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("delay_s", "ten"), ("delay_s", "-1"), ("delay_s", "3601"), ("delay_s", "nan"), ("delay_s", "inf"),
        ("delay_s", "1e999"), ("delay_s", "1,5"), ("delay_s", "5s"), ("port", "80.0"), ("port", "65536"),
        ("port", "0x50"), ("port", "٨٠"), ("port", "9" * 5000), ("afloat", "maybe"), ("afloat", "2"), ("name", "k"),
        ("name", "KELP"), ("name", "kelp\n"), ("name", "\udcff\udcff"),
    ],
)  # fmt: skip
def test_a_wrong_value_stops_the_start_and_names_the_variable(tmp_path: Path, key: str, text: str):
    with pytest.raises(SettingsInvalid, match=f"HOLDFAST_BOAT_{key.upper()}: found ") as caught:
        boat(tmp_path, **{key: text})
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].isprintable()
    assert len(caught.value.faults[0]) < 200


def test_a_value_at_a_bound_is_inside_unless_the_bound_is_open(tmp_path: Path):
    assert boat(tmp_path, delay_s="3600", port="0") == Boat(delay_s=3600.0, port=0)
    assert cargo(tmp_path, crates="1").crates == 1
    assert faults(Cargo, environ={"CARGO_CRATES": "0"}, folder=tmp_path) == (
        'CARGO_CRATES: found "0", allowed: a whole number above 0, or none',
    )


def test_every_type_is_read_from_text(tmp_path: Path):
    loaded = cargo(tmp_path, hold="/deep hold", colour="blue", level="debug", goods="rope, salt,", crates="none")
    assert loaded == Cargo(
        hold=Path("/deep hold"), colour=Colour.BLUE, level="DEBUG", goods=("rope", "salt"), crates=None
    )


def test_every_type_is_read_from_toml(tmp_path: Path):
    (tmp_path / "holdfast.toml").write_text(
        '[cargo]\nhold = "below"\ncolour = "blue"\nlevel = "DEBUG"\ngoods = ["rope, thick", "salt"]\ncrates = 3\n'
        '[boat]\nafloat = false\nport = "82"\n'
    )
    assert cargo(tmp_path) == Cargo(
        hold=Path("below"), colour=Colour.BLUE, level="DEBUG", goods=("rope, thick", "salt"), crates=3
    )
    assert boat(tmp_path) == Boat(afloat=False, port=82)


@pytest.mark.parametrize(
    "line",
    ["port = true", "port = 1.0", "port = [1]", "port = 1979-05-27", "delay_s = nan", f"delay_s = 1{'0' * 400}",
     "afloat = 1", "name = 3", "name = {a = 1}"],
)  # fmt: skip
def test_a_toml_value_of_another_type_is_a_fault_that_names_the_place(tmp_path: Path, line: str):
    (tmp_path / "holdfast.toml").write_text(f"[boat]\n{line}\n")
    key = line.partition(" ")[0]
    with pytest.raises(SettingsInvalid) as caught:
        boat(tmp_path)
    assert caught.value.faults[0].startswith(f"HOLDFAST_BOAT_{key.upper()} (from holdfast.toml, [boat] {key}): found ")


def test_a_list_keeps_to_the_limits_of_its_items_and_its_length(tmp_path: Path):
    class Crew(Settings, prefix="CREW", title="crew"):
        ages: Annotated[tuple[int, ...], option("Their ages.", ge=16, min_length=2)]
        posts: Annotated[tuple[str, ...], option("Their posts.", choices=["deck", "engine"])] = ()

    environ = {"CREW_AGES": "16,40", "CREW_POSTS": "Deck"}
    assert settings.load(Crew, environ, tmp_path) == Crew(ages=(16, 40), posts=("deck",))
    assert faults(Crew, environ={"CREW_AGES": "40", "CREW_POSTS": "deck,cook"}, folder=tmp_path) == (
        'CREW_AGES: found "40", allowed: at least 2 whole numbers of at least 16, separated by commas',
        'CREW_POSTS: found "deck,cook", allowed: any number of deck or engine, separated by commas',
    )
    assert faults(Crew, environ={"CREW_AGES": "16,15"}, folder=tmp_path) != ()


class Free(Settings, prefix="FREE", title="free"):
    """Settings that only their types limit."""

    number: Annotated[float, option("A number.", lt=1e300)] = 0.0
    text: Annotated[str | None, option("A text.")] = None
    path: Annotated[Path | None, option("A path.")] = None


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "-1e999", "1e300"])
def test_a_number_is_finite_wherever_it_comes_from(tmp_path: Path, value: str):
    assert len(faults(Free, environ={"FREE_NUMBER": value}, folder=tmp_path)) == 1
    (tmp_path / "holdfast.toml").write_text(f"[free]\nnumber = {value}\n")
    assert len(faults(Free, environ={}, folder=tmp_path)) == 1


def test_a_text_that_is_not_utf_8_and_a_path_that_cannot_be_one_are_faults(tmp_path: Path):
    assert len(faults(Free, environ={"FREE_TEXT": "caf\udce9"}, folder=tmp_path)) == 1
    for path in ("", "a\\u0000b"):
        (tmp_path / "holdfast.toml").write_text(f'[free]\npath = "{path}"\n')
        assert len(faults(Free, environ={}, folder=tmp_path)) == 1


def test_the_word_none_is_a_text_where_texts_are_taken(tmp_path: Path):
    loaded = settings.load(Free, {"FREE_TEXT": "none", "FREE_PATH": "none"}, tmp_path)
    assert loaded == Free(text="none", path=Path("none"))


# -- faults --


def test_all_faults_of_all_classes_are_named_at_once(tmp_path: Path):
    environ = {"HOLDFAST_BOAT_DELAY_S": "ten", "HOLDFAST_BOAT_AFLOAT": "perhaps", "CARGO_LEVEL": "LOUD"}
    expected = (
        'HOLDFAST_BOAT_DELAY_S: found "ten", allowed: a number from 0 to 3600',
        'HOLDFAST_BOAT_AFLOAT: found "perhaps", allowed: true or false (1, 0, yes, no, on, off)',
        'CARGO_LEVEL: found "LOUD", allowed: DEBUG or INFO',
        "PAPERS_OWNER: missing, allowed: a text; Who owns it.",
    )
    assert faults(Boat, Cargo, Papers, environ=environ, folder=tmp_path) == expected
    assert faults(Boat, Boat, Cargo, Boat, Papers, environ=environ, folder=tmp_path) == expected
    with pytest.raises(SettingsInvalid) as caught:
        settings.load_all(Boat, Cargo, Papers, environ=environ, folder=tmp_path)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == list(expected)


def test_load_all_gives_one_value_per_class_in_their_order(tmp_path: Path):
    moored, papers = settings.load_all(Boat, Papers, environ={"PAPERS_OWNER": "Ann"}, folder=tmp_path)
    assert (moored, papers) == (Boat(), Papers(owner="Ann"))


def test_an_unknown_key_in_the_file_is_a_fault_that_names_the_nearest(tmp_path: Path):
    (tmp_path / "holdfast.toml").write_text("[boat]\ndelay = 3\nzzz = 1\n")
    assert faults(Boat, environ={}, folder=tmp_path) == (
        "holdfast.toml: [boat] delay is not a setting; did you mean delay_s?",
        "holdfast.toml: [boat] zzz is not a setting; allowed: afloat, delay_s, name, port",
    )
    assert cargo(tmp_path) == Cargo()


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("holdfast.toml", "boat = 3", "holdfast.toml: found 3 in the place of the table [boat]"),
        (
            "pyproject.toml",
            "tool.holdfast = 3",
            "pyproject.toml: found a value in the place of the table [tool.holdfast]",
        ),
        ("holdfast.toml", "[boat", "holdfast.toml: is not valid TOML: "),
        ("pyproject.toml", "[boat", "pyproject.toml: is not valid TOML: "),
    ],
)
def test_a_file_that_is_not_what_it_should_be_stops_the_start(tmp_path: Path, name: str, text: str, fault: str):
    (tmp_path / name).write_text(text)
    assert faults(Boat, environ={}, folder=tmp_path)[0].startswith(fault)


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path):
    (tmp_path / "holdfast.toml").mkdir()
    assert faults(Boat, environ={}, folder=tmp_path) == ("holdfast.toml: cannot be read (Is a directory)",)
    (tmp_path / "holdfast.toml").rmdir()
    (tmp_path / "holdfast.toml").write_bytes(b"[boat]\nname = '\xff'\n")
    assert faults(Boat, environ={}, folder=tmp_path)[0].startswith("holdfast.toml: is not valid TOML")


@pytest.mark.parametrize(
    "annotation",
    [
        list[str],
        dict[str, str],
        int | str,
        tuple[int, int],
        bytes,
        Literal[b"a"] | None,
        Literal["a", 1],
        "nothing said",
    ],
)
def test_a_class_that_is_not_declared_properly_is_refused_in_words(annotation: object):
    hint = int if annotation == "nothing said" else Annotated[annotation, option("x")]
    with pytest.raises(TypeError, match=r"Odd\.x: "):
        type("Odd", (Settings,), {"__annotations__": {"x": hint}}, prefix="ODD", title="odd")
    assert "Odd" not in {cls.__name__ for cls in settings.declared()}


def test_a_default_outside_its_own_limits_is_refused():
    with pytest.raises(TypeError, match=r"Wrong\.x: its default"):

        class Wrong(Settings, prefix="WRONG", title="wrong"):
            x: Annotated[int, option("x", ge=1)] = 0


def test_a_secret_with_a_default_in_the_code_is_refused():
    with pytest.raises(TypeError, match=r"Wrong\.x: a secret has no default but None"):

        class Wrong(Settings, prefix="WRONG", title="wrong"):
            x: Annotated[Secret, option("x")] = Secret("in the code")


def test_a_secret_is_not_chosen_from_a_list_in_the_code():
    with pytest.raises(TypeError, match=r"Wrong\.x: "):

        class Wrong(Settings, prefix="WRONG", title="wrong"):
            x: Annotated[Secret, option("x", choices=[Secret("a")])]


@pytest.mark.parametrize(("prefix", "title"), [("", "x"), ("X", ""), ("x", "x"), ("X_", "x"), ("X", "a b")])
def test_a_class_without_a_proper_prefix_and_title_is_refused(prefix: str, title: str):
    with pytest.raises(TypeError, match="name its prefix"):
        type("Odd", (Settings,), {}, prefix=prefix, title=title)


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Boat().port = 3  # pyright: ignore[reportAttributeAccessIssue] -- the test is that it fails


# -- secrets --

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
    """To write the tables anew: WRITE_DOCS=1 python -m pytest tests/test_settings.py."""
    page = PAGE.read_text()
    fresh = settings.refreshed(page, own())
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(fresh)
    assert PAGE.read_text() == fresh, "write the tables anew: WRITE_DOCS=1 python -m pytest tests/test_settings.py"


def test_a_bar_in_a_cell_does_not_end_it():
    class Barred(Settings, prefix="BARRED", title="barred"):
        x: Annotated[str, option("Either.", pattern="a|b")] = "a"

    assert settings.markdown([Barred]).splitlines()[-1] == r"| `BARRED_X` | a | a text that matches a\|b | Either. |"


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        settings.refreshed("# Settings", [Boat])
