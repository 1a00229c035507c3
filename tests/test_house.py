"""The house keeps its own rules: who imports whom, how long a file is, and that nothing public goes undocumented."""

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import HoldfastError
from holdfast.events import Outcome
from holdfast.promises import CATALOGUE
from holdfast.settings import declared, options_of

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "holdfast"
CODE = sorted([*SOURCE.rglob("*.py"), *(ROOT / "depot" / "src").rglob("*.py"), *(ROOT / "bench").rglob("*.py")])
WORDS = {"promises", "errors", "events", "asgi", "ids"}
VERBS = {"serve", "profile", "check", "prove", "sim", "console", "cli", "testing", "contrib"}
# What is not in the standard library, and the one file (or folder) of Holdfast that may import it.
OPTIONAL = {
    "click": {"cli", "prove.proxy.command"},
    "uvicorn": {"serve"},
    "httptools": {"serve"},
    "uvloop": {"serve"},
    "websockets": {"serve"},
    "fastapi": {"contrib.fastapi"},
    "starlette": {"contrib.fastapi"},
    "svcs": {"contrib.svcs"},
    "structlog": {"contrib.structlog"},
    "loguru": {"contrib.loguru"},
    "prometheus_client": {"parts.metrics.exposition"},
    "multipart": {"parts.uploads.form"},
    "apsw": {"stores.sqlite_thread"},
    "asyncpg": {"stores.postgres", "prove.counters"},
    "botocore": {"stores.s3_client"},
    "sqlalchemy": {"parts.exports.sources.alchemy"},
    "pyarrow": {"parts.exports.sources.arrow", "parts.exports.formats.parquet"},
    "backports": {"parts.exports.packing"},
    "anyio": {"parts.offload.sync"},
    "httpx2": {"contrib.httpx2"},
    "pyinstrument": {"profile.session"},
    "h11": {"prove"},
    "schemathesis": {"prove.acts.malformed.generating"},
    "requests": {"prove.acts.malformed.generating"},  # what schemathesis asks with
    "hypothesis": {"prove.acts.malformed.generating"},  # what it generates with
    "pytest": {"testing"},
}
EVERYWHERE = {"msgspec"}
PROTOCOLS = {"stores", "stores.blobs", "stores.ledger", "stores.rows"}
ASSEMBLY = {"app", "exports", "uploads"}


def module_name(path: Path) -> str:
    """`parts.drain` for src/holdfast/parts/drain.py, `logs` for src/holdfast/logs/__init__.py, `` for the root."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions and for type checking."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module or "")
            found |= {
                f"{node.module}.{alias.name}" for alias in node.names if (node.module or "").startswith("holdfast")
            }
    return found


MODULES = {module_name(path): path for path in SOURCE.rglob("*.py")}


def inside(path: Path) -> set[str]:
    """The modules of Holdfast that a file imports, without the root."""
    own = {name.removeprefix("holdfast").lstrip(".") for name in imports_of(path) if name.split(".")[0] == "holdfast"}
    return {name for name in own if name in MODULES and name}


def outside(path: Path) -> set[str]:
    """The packages that a file imports, without the standard library and Holdfast."""
    tops = {name.split(".")[0] for name in imports_of(path)}
    return {name for name in tops if name not in sys.stdlib_module_names} - {"holdfast", "_typeshed"}


def top(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("word", sorted(WORDS))
def test_words_import_the_standard_library_alone(word):
    path = MODULES[word]
    assert outside(path) == set()
    assert {top(name) for name in inside(path)} <= WORDS


@pytest.mark.parametrize("module", sorted(name for name in MODULES if top(name) == "decide"))
def test_rules_import_words_and_rules_only(module):
    path = MODULES[module]
    assert outside(path) == set()
    assert {top(name) for name in inside(path)} <= WORDS | {"decide"}


@pytest.mark.parametrize("module", sorted(name for name in MODULES if top(name) == "decide"))
def test_rules_are_pure(module):
    """No await, clock, randomness, file, socket or logger."""
    path = MODULES[module]
    forbidden = {"time", "random", "secrets", "socket", "logging", "asyncio", "threading", "subprocess", "os", "io"}
    assert {top(name) for name in imports_of(path)}.isdisjoint(forbidden)
    assert not [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Await | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("module", sorted(name for name in MODULES if top(name) == "parts" and name != "parts"))
def test_a_part_imports_no_part_and_no_verb(module):
    own = ".".join(module.split(".")[:2])
    others = {name for name in inside(MODULES[module]) if not f"{name}.".startswith(f"{own}.")}
    forbidden = {name for name in others if top(name) in {"parts", "stores", *ASSEMBLY, *VERBS} and name != "parts"}
    assert forbidden - PROTOCOLS == set()


@pytest.mark.parametrize("module", sorted(name for name in MODULES if top(name) == "prove"))
def test_a_proof_imports_no_part(module):
    """A verdict rests on what was seen from outside."""
    assert {top(name) for name in inside(MODULES[module])}.isdisjoint({"parts", "stores", "serve", *ASSEMBLY})


@pytest.mark.parametrize("module", sorted(name for name in MODULES if top(name) == "prove"))
def test_what_one_scenario_alone_does_is_its_own(module):
    """What two of them want is in `prove.props`."""
    acts = {name.split(".")[2] for name in inside(MODULES[module]) if name.startswith("prove.acts.")}
    kind, _, own = module.removeprefix("prove.").partition(".")
    assert acts <= ({own.split(".")[0]} if kind in {"acts", "scenarios"} else set())


@pytest.mark.parametrize("module", sorted(name for name in MODULES if top(name) == "stores"))
def test_a_store_imports_no_part_no_verb_and_no_store_of_another_kind(module):
    own = module.split("_")[0]
    others = {name for name in inside(MODULES[module]) if not name.startswith(own)} - PROTOCOLS
    assert {name for name in others if top(name) in {"parts", "stores", *ASSEMBLY, *VERBS}} == set()


@pytest.mark.parametrize(
    "module", sorted(name for name in MODULES if top(name) not in {"", "parts", "stores", *ASSEMBLY, *VERBS})
)
def test_the_ground_imports_no_part_and_no_verb(module):
    if top(module) in {"__main__"}:
        return
    assert {top(name) for name in inside(MODULES[module])}.isdisjoint({"parts", "stores", *ASSEMBLY, *VERBS})


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name))
def test_nobody_inside_imports_the_root(module):
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            assert "holdfast" not in {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module == "holdfast":
            assert {alias.name for alias in node.names} <= set(MODULES), "a public name is taken from the root"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_an_optional_package_is_imported_where_it_is_needed_and_nowhere_else(module):
    for package in outside(MODULES[module]) - EVERYWHERE:
        allowed = OPTIONAL.get(package, set())
        assert any(f"{module}.".startswith(f"{place}.") for place in allowed), f"{module} imports {package}"


def test_there_are_no_cycles():
    graph = {name: {other for other in inside(path) if other != name} for name, path in MODULES.items() if name}
    # `from holdfast.logs import x` names the package and the module: a package is its __init__, which imports its own.
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        for other in sorted(graph.get(name, ())):
            if not f"{name}.".startswith(f"{other}."):  # a module may be inside the package it names
                walk(other, (*trail, name))
        done.add(name)

    for name in graph:
        walk(name, ())


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_can_be_finished_in_five_minutes(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_named_after_nothing(path):
    assert path.stem not in {"utils", "helpers", "common", "base", "manager", "handler", "factory", "misc"}


def test_the_public_names_are_exactly_those_that_are_listed():
    exported = {name for name in vars(holdfast) if not name.startswith(("_", "@"))}  # pytest puts in what begins with @
    submodules = {module.name for module in pkgutil.iter_modules(holdfast.__path__)}
    assert sorted(holdfast.__all__) == list(holdfast.__all__)
    assert set(holdfast.__all__) - exported == set()
    assert exported - set(holdfast.__all__) - submodules == set()


def public_definitions():
    for name, path in sorted(MODULES.items()):
        if any(part.startswith("_") for part in name.split(".")):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                yield name, node
                if isinstance(node, ast.ClassDef):
                    for member in node.body:
                        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and not member.name.startswith(
                            "_"
                        ):
                            yield name, member


def test_every_public_name_says_what_it_is():
    silent = [
        f"{module}.{node.name}"
        for module, node in public_definitions()
        if not ast.get_docstring(node)
        and not any(isinstance(d, ast.Name) and d.id == "overload" for d in getattr(node, "decorator_list", []))
        and not any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in getattr(node, "decorator_list", []))
    ]
    assert silent == []


def all_modules():
    for module in pkgutil.walk_packages(holdfast.__path__, "holdfast."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def errors_below(kind: type[HoldfastError]) -> list[type[HoldfastError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in errors_below(below))]


def test_every_setting_event_error_and_promise_is_documented():
    all_modules()
    docs = {path.name: path.read_text() for path in (ROOT / "docs").rglob("*.md")}
    ours = [option.variable for settings in declared("holdfast") for option in options_of(settings)]
    assert [name for name in ours if name not in docs["settings.md"]] == []
    codes = {kind.code for kind in errors_below(HoldfastError) if kind.__module__.startswith("holdfast")}
    assert sorted(code for code in codes if f"`{code}`" not in docs["errors.md"]) == []
    words = [value for name, value in vars(Outcome).items() if name.isupper()]
    assert [word for word in words if f"`{word}`" not in docs["logs.md"]] == []
    assert [promise.name for promise in CATALOGUE if promise.name not in docs["promises.md"]] == []
    kept = [promise.name for promise in CATALOGUE if promise.kept_by and promise.name not in {"typed"}]
    assert [name for name in kept if f"{name}.md" not in docs] == []


def test_the_tree_of_errors_is_drawn_as_it_is():
    drawing = sys.modules["holdfast.errors"].__doc__
    drawn = dict(re.findall(r"^ {4,}(\w+) +\d{3}(?:  ([a-z-]+))?$", drawing, re.MULTILINE))
    real = {kind.__name__: kind.code for kind in errors_below(HoldfastError) if kind.__module__ == "holdfast.errors"}
    assert {**drawn, "HoldfastError": "error"} == real


def test_no_part_has_more_than_five_settings():
    all_modules()
    assert {cls.__name__: len(options_of(cls)) for cls in declared("holdfast") if len(options_of(cls)) > 5} == {}


def test_a_kept_promise_names_modules_that_are_there():
    for promise in CATALOGUE:
        for module in promise.kept_by:
            importlib.import_module(module)


def closure(names: list[str]) -> set[str]:
    """The distributions that installing `names` brings, themselves included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in importlib.metadata.requires(name) or []:
            if (
                "extra ==" not in requirement
                and "sys_platform ==" not in requirement
                and "platform_system" not in requirement
            ):
                waiting.append(re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower())
    return found


def test_the_core_is_light():
    needed = closure(["holdfast"]) - {"holdfast"}
    size = sum(
        file.locate().stat().st_size
        for name in needed
        for file in importlib.metadata.files(name) or []
        if not str(file).endswith(".pyc") and file.locate().exists()
    )
    size += sum(path.stat().st_size for path in SOURCE.rglob("*.py"))
    assert len(needed) <= 8
    assert size <= 5_000_000


def test_importing_holdfast_loads_nothing_heavy():
    code = "import sys; old = set(sys.modules); import holdfast; print(*{n.split('.')[0] for n in sys.modules} - old)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {name for name in loaded if name not in sys.stdlib_module_names} - {
        "typing_extensions"
    }  # msgspec's, if there
    assert heavy == {"holdfast", "msgspec"}


def test_the_project_speaks_of_itself_alone():
    """No paths of a machine, no addresses of a package registry."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        path = ROOT / name
        if not path.exists() or path.suffix in {".png"}:
            continue
        text = path.read_text(errors="replace")
        told = re.search(r"pypi\.org|pythonhosted|registry\.npmjs|/(home|root|work)/\w", text)
        assert told is None or name == "tests/test_house.py", f"{name}: {told and told[0]}"
