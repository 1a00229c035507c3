"""The documentation is true: examples run, sessions show what is shown, and what is named is there.

A block of ```python runs by itself. The blocks of ```console on a page are one session (see `sessions`), in a folder of
its own; a block that begins with the comment `# shop.py` is saved there under that name. A block after the comment
`<!-- not run: REASON -->` is left alone.
"""

import ast
import importlib.metadata
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from sessions import Session, clean_environment, steps_of

from holdfast.cli import main as command_line
from holdfast.context import CLIENT_ID
from holdfast.logs import pipe
from holdfast.serve import exchange, server
from holdfast.serve.settings import StartSettings, WorkerSettings
from holdfast.settings import declared, options_of

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str
    left_alone: bool

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def saved_as(self) -> str | None:
        named = re.match(r"# (\w+\.(?:py|toml))\n", self.text)
        return named and named[1]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page, text[: found.start("text")].count("\n") + 1, found["language"], found["text"], bool(found["reason"])
        )
        for found in BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PROSE = {page: BLOCK.sub("", page.read_text()) for page in PAGES}
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# -- examples --


EXAMPLES = [block for block in BLOCKS if block.language == "python" and not block.left_alone and not block.saved_as]


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.name)
def test_an_example_runs_by_itself(block, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stderr


@by_page
def test_every_block_says_what_it_is(page):
    known = {"python", "console", "text", "toml", "yaml"}
    assert [block.name for block in blocks_of(page) if block.language not in known] == []
    assert "```" not in PROSE[page]  # such as one that is indented, and would not be found


# -- sessions --

WITH_SESSIONS = sorted({block.page for block in BLOCKS if block.language == "console" and not block.left_alone})


@pytest.mark.parametrize("page", WITH_SESSIONS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_session_shows_what_is_written_below_its_commands(page, tmp_path):
    if shutil.which("curl") is None and any("curl " in block.text for block in blocks_of(page)):
        pytest.skip("curl is not installed")
    session = Session(tmp_path)
    try:
        for block in blocks_of(page):
            if block.saved_as:
                (tmp_path / block.saved_as).write_text(block.text)
            elif block.language == "console" and not block.left_alone:
                for command, shown in steps_of(block.text):
                    session.step(command, shown)
        killed = {-9} if "$ kill -KILL " in page.read_text() else set()
        assert set(session.end()) <= {0} | killed
    finally:
        session.end()


def test_what_is_saved_for_a_session_is_used_in_one():
    for block in BLOCKS:
        module = (block.saved_as or "").removesuffix(".py")
        later = [
            other.text for other in blocks_of(block.page) if other.line > block.line and other.language == "console"
        ]
        assert any(module in text for text in later) or not block.saved_as, block.name


def test_make_run_is_what_the_sessions_take_it_for():
    assert "exec $(BIN)/holdfast run depot.app:app" in (ROOT / "Makefile").read_text()


# -- tables --


def test_the_generated_tables_are_as_the_code_is():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    stale = [page.name for page, text in tables.pages().items() if page.read_text() != text]
    assert stale == [], "make docs writes them anew"


def test_the_picture_of_the_layers_is_what_is_there():
    page = (DOCS / "architecture.md").read_text()
    source = ROOT / "src" / "holdfast"
    drawn = set(re.findall(r"[a-z_]+(?:\.py|/)(?![\w`])", blocks_of(DOCS / "architecture.md")[0].text))
    kept = [source, source / "decide", source / "parts"]
    there = {entry.name + ("/" if entry.is_dir() else "") for folder in kept for entry in folder.iterdir()}
    assert drawn == {name for name in there if not name.startswith("__") and (name[-1] == "/" or name.endswith(".py"))}
    order = re.findall(r"(\w+)\.layer\b", (source / "app.py").read_text())
    known = "lifespan|context|logs|probes|shedding|problems|metrics|rates|deadlines"
    assert re.findall(rf"^(?: Holdfast\(app\))? +({known}) ", page, re.MULTILINE) == order


# -- what is named is there --


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links_of(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", PROSE[page])


@by_page
def test_every_link_leads_somewhere(page):
    for link in links_of(page):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in {slug(title) for title in re.findall(r"^#+ (.+)$", PROSE[target], re.MULTILINE)}, (
                f"{page.name}: {link}"
            )


def test_every_page_can_be_reached_from_the_readme():
    found: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found or page not in PROSE:
            continue
        found.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links_of(page) if "://" not in link]
    assert [page.name for page in PAGES if page not in found] == []


def quoted(page: Path) -> list[str]:
    """What stands in backticks in the prose, and each command of the sessions."""
    commands = [
        command for block in blocks_of(page) if block.language == "console" for command, _ in steps_of(block.text)
    ]
    return [*re.findall(r"`([^`\n]+)`", PROSE[page]), *commands]


@by_page
def test_every_file_and_test_that_is_named_is_there(page):
    for text in quoted(page):
        for path, test in re.findall(
            r"(?<![\w/.-])((?:src|depot|tests|docs|bench|requirements)/[\w/.-]*)(?:::(\w+))?", text
        ):
            found = ROOT / path
            assert found.exists(), f"{page.name}: {text}"
            if test:
                tree = ast.walk(ast.parse(found.read_text()))
                assert test in {
                    node.name for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                }, text


@by_page
def test_every_command_that_is_named_is_there(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in quoted(page):
        made = re.match(r"make ([a-z-]+)", text)
        if made:
            assert made[1] in targets, f"{page.name}: {text}"
        ours = re.search(r"(?:^|/|\d )holdfast ((?:run|settings|logs|--?\w).*)", text)
        if ours:
            check_command(shlex.split(re.split(r" [>|&]", ours[1])[0]), f"{page.name}: {text}")


def check_command(words: list[str], where: str) -> None:
    command: click.Command = command_line
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    for word in words:
        assert not word.startswith("--") or word in options, where
    assert not isinstance(command, click.Group) or not words or words[0].startswith("-"), where


@by_page
def test_every_name_of_the_package_that_is_named_is_there(page):
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    for text in quoted(page):
        for name in re.findall(r"(?<![\w.-])(holdfast(?:\.\w+)+)(?!\.toml|[\w-])", text):
            if name != "holdfast.toml" and f'"{name}"' not in sources:  # a logger's name, or a key of the scope
                assert resolves(name), f"{page.name}: {text}"


def resolves(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@by_page
def test_every_variable_that_is_named_is_a_setting(page):
    resolves("holdfast.serve.run"), resolves("holdfast.leaks"), resolves("depot.settings")
    known = {name for cls in declared() for option in options_of(cls) for name in option.variables}
    known |= {"HOLDFAST_", "HOLDFAST_SECRETS_DIR"}
    named = set(re.findall(r"\b(?:HOLDFAST|DEPOT)_[A-Z_]*", page.read_text()))
    examples = {"HOLDFAST_PORT=tcp"}
    assert named - known - examples == set()


@by_page
def test_no_page_names_a_machine(page):
    assert re.findall(r"(?<![\w.])/(?:home|root|work|tmp|Users)/\S*", page.read_text()) == []


# -- numbers and versions --


def test_the_numbers_that_the_pages_state_are_those_of_the_code():
    logs, run = PROSE[DOCS / "logs.md"], PROSE[DOCS / "run.md"]
    assert f"{pipe._QUEUE_BYTES >> 20} MiB" in logs
    assert f"{pipe._GATHER_S * 1000:.0f} ms" in logs
    assert f"`{CLIENT_ID.pattern}`" in PROSE[DOCS / "promises" / "traceable.md"]
    assert f"{server._CLOSE_S:.0f} s" in run
    assert f"{server._UNWIND_S:.0f} s" in run
    assert f"{exchange.SPARE_S:.0f} s" in run
    assert f"{StartSettings().limit_s:.0f} s" in run
    assert f"{WorkerSettings().hang_s:.0f} s" in run
    assert f"{WorkerSettings().busy_s:.0f} s" in run


def test_the_changelog_tells_of_the_version_that_is_built():
    version = importlib.metadata.version("holdfast")
    titles = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] in {"Unreleased", version}
    assert version in titles
