import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import pytest
from moorings import Boat, Cargo, Colour, Free, Papers, faults

from holdfast import settings
from holdfast.errors import SettingsInvalid
from holdfast.settings import Secret, Settings, option


def boat(folder: Path, **environ: str) -> Boat:
    return settings.load(
        Boat, environ={f"HOLDFAST_BOAT_{key.upper()}": value for key, value in environ.items()}, folder=folder
    )


def cargo(folder: Path, **environ: str) -> Cargo:
    return settings.load(
        Cargo, environ={f"CARGO_{key.upper()}": value for key, value in environ.items()}, folder=folder
    )


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
