"""The faults that judge `holdfast prove`: each fits the code as it is, and there are enough for each promise."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from holdfast.promises import BY_NAME

ROOT = Path(__file__).parent.parent
MUTANTS = [
    mutant
    for path in sorted((ROOT / "bench" / "mutants").glob("*.toml"))
    for mutant in tomllib.loads(path.read_text())["mutant"]
]
JUDGED = "responsive released bounded durable selective punctual isolated graceful guarded traceable discreet explained"


def replacements(mutant: dict) -> list[dict]:
    """What a mutant changes: a text in a file, and sometimes another one."""
    return [mutant, *mutant.get("also", ())]


def mutated(mutant: dict) -> dict[str, str]:
    """The text of each file that a mutant changes, once it is changed."""
    texts: dict[str, str] = {}
    for change in replacements(mutant):
        text = texts.get(change["file"]) or (ROOT / change["file"]).read_text()
        texts[change["file"]] = text.replace(change["old"], change["new"])
    return texts


def test_every_mutant_has_a_name_of_its_own():
    assert [name for name, times in Counter(mutant["name"] for mutant in MUTANTS).items() if times > 1] == []


def test_there_are_enough_for_each_promise():
    counted = Counter(mutant["promise"] for mutant in MUTANTS)
    assert counted.total() >= 60
    assert {promise: counted[promise] for promise in JUDGED.split() if counted[promise] < 3} == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant["name"])
def test_a_mutant_fits_the_code(mutant):
    assert mutant["promise"] in BY_NAME
    assert mutant["seen"]
    assert len(replacements(mutant)) <= 2
    for change in replacements(mutant):
        assert (ROOT / change["file"]).read_text().count(change["old"]) == 1, change["old"]
        assert change["new"] != change["old"]
    for file, text in mutated(mutant).items():
        compile(text, file, "exec")
