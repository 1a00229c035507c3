# ruff: noqa: INP001 - a script beside the pages, not a package
"""Write the tables that the code already knows into the documentation, between markers; `make docs` runs it.

    python docs/tables.py            write them
    python docs/tables.py --check    write nothing; exit code 1 if a page is stale

A table stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`. The settings are written by `holdfast.settings`.
"""

import argparse
import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import holdfast
from holdfast import events
from holdfast.decide.lifecycle import STANDING
from holdfast.errors import HoldfastError
from holdfast.logs.canonical import RequestLine
from holdfast.parts.metrics import FAMILIES
from holdfast.promises import CATALOGUE, Promise
from holdfast.prove.scenarios import ALL
from holdfast.settings import declared, refreshed

DOCS: Final = Path(__file__).parent
ROOT: Final = DOCS.parent

FIELDS: Final[Mapping[str, str]] = {
    "time": "When the request had ended: RFC 3339, UTC, microseconds.",
    "level": "`info`; `error` where the outcome is `failed` or `cut`; `debug` for probes and scrapes, and for one of a "
    "flood that is refused.",
    "event": "`request`.",
    "request_id": "Our ID of the request, the one in its `X-Request-ID`.",
    "client_request_id": "The ID that the client sent, or null.",
    "method": "`GET`, `POST` and so on.",
    "route": "The template that the framework matched, such as `/teas/{name}`; null where none was.",
    "path": "As it came, redacted.",
    "status": "0 where no answer was begun.",
    "duration_ms": "From the head of the request to the end of the application, background tasks included.",
    "actor": "Who, as the application said with `set_actor`; null where it did not.",
    "action": "What, as the application said with `set_action`; null where it did not.",
    "outcome": "One of the words below.",
    "client": "The client's address; behind trusted proxies the real one.",
    "bytes_out": "The bytes of the body that were passed on.",
    "query": "Redacted; left out where there is none.",
    "problem": "The code of the problem document that was answered; left out where none was.",
    "trace_id": "The OpenTelemetry trace, or the one that a trusted proxy sent; left out where there is none.",
    "trace_link": "The trace that an untrusted client sent; left out where there is none.",
    "kind": "`websocket`; left out for HTTP.",
    "logger": "`holdfast.request`.",
}
_STATES: Final[Mapping[str, str]] = {
    "starting": "the application and its resources are opened",
    "serving": "everything is as usual",
    "leaving": "it serves as before, so that load balancers have time to look elsewhere",
    "draining": "what was accepted is finished; each answer says `Connection: close`",
    "closing": "the application and its resources are closed",
    "stopped": "the process ends",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# -- errors --


def errors() -> list[type[HoldfastError]]:
    """List every error of Holdfast, in the order of the tree; those of single modules last."""
    for module in pkgutil.walk_packages(holdfast.__path__, "holdfast."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = [kind for kind in _below(HoldfastError) if kind.__module__.startswith("holdfast.")]
    return sorted(ours, key=lambda kind: (kind.__module__ != HoldfastError.__module__, _place(kind)))


def _below(kind: type[HoldfastError]) -> list[type[HoldfastError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _below(child))]


def _place(kind: type[HoldfastError]) -> tuple[str, int]:
    return kind.__module__, inspect.getsourcelines(kind)[1]


def error_table() -> str:
    """Describe every error: its code and status, what it says, what the caller can do."""
    rows = [
        (f"`{kind.code}`", str(kind.status), f"`{kind.__name__}`", kind.message(), kind.advice) for kind in errors()
    ]
    return table(("code", "status", "class", "says", "advice"), rows)


def error_tree() -> str:
    """Draw the tree, as it stands at the top of `errors.py`."""
    drawn = re.search(
        r"\n\n(    HoldfastError.*?)\n\n\S", inspect.getdoc(sys.modules["holdfast.errors"]) or "", re.DOTALL
    )
    if drawn is None:
        raise LookupError("no tree is drawn in holdfast.errors")
    return "```text\n" + re.sub(r"^    ", "", drawn[1], flags=re.MULTILINE) + "\n```"


# -- logs --


def outcomes() -> list[tuple[str, str]]:
    """List the outcome words, each with what its docstring says."""
    tree = ast.parse(inspect.getsource(events.Outcome)).body[0]
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found: list[tuple[str, str]] = []
    for name, text in pairwise(body):
        if isinstance(name, ast.AnnAssign) and isinstance(text, ast.Expr):
            word, said = name.value, text.value
            if isinstance(word, ast.Constant) and isinstance(said, ast.Constant):
                found.append((str(word.value), " ".join(str(said.value).split())))
    return found


def outcome_table() -> str:
    """Describe the words that say how a request ended."""
    return table(("outcome", "meaning"), [(f"`{word}`", says) for word, says in outcomes()])


def field_table() -> str:
    """Describe the fields of the canonical line, in their order."""
    return table(("field", ""), [(f"`{name}`", FIELDS[name]) for name in RequestLine.__struct_fields__])


# -- metrics --


def metric_table() -> str:
    """List the metrics, each with its kind, its labels and what it tells."""
    rows = [
        (f"`{family.name}`", family.kind, ", ".join(f"`{label}`" for label in family.labels), family.help)
        for family in FAMILIES
    ]
    return table(("metric", "kind", "labels", ""), rows)


# -- the life of a process --


def state_table() -> str:
    """Describe the states of a serving process, and what each means for those outside."""
    rows = [
        (
            f"`{state}`",
            "200" if standing.live else "503",
            "200" if standing.ready else "503",
            "yes" if standing.accepts else "no",
            _STATES[state],
        )
        for state, standing in STANDING.items()
    ]
    return table(("state", "`/-/live`", "`/-/ready`", "new connections", ""), rows)


# -- promises --


def promise_table(folder: str) -> str:
    """List the catalogue; pages of promises lie in `folder`, seen from the page that the table is for."""
    return table(("promise", "", "kept by", "proven by"), [_promise(promise, folder) for promise in CATALOGUE])


def _promise(promise: Promise, folder: str) -> tuple[str, str, str, str]:
    page = DOCS / "promises" / f"{promise.name}.md"
    name = f"[{promise.name}]({folder}/{promise.name}.md)" if promise.kept_by and page.exists() else promise.name
    scenarios = folder.replace("promises", "scenarios")
    proven = [f"[{each.name}]({scenarios}/{each.name}.md)" for each in ALL if each.promise == promise.name]
    kept = ", ".join(f"`{module}`" for module in promise.kept_by)
    return name, promise.sentence, kept or "to come", ", ".join(proven) or "-"


# -- scenarios --


def scenario_table() -> str:
    """List the scenarios of `holdfast prove`, each with the promise that it proves."""
    rows = [
        (
            f"[{each.name}](scenarios/{each.name}.md)",
            each.promise + (f", {each.part}" if each.part else ""),
            ", ".join(f"`{need}`" for need in each.needs) or "-",
            "yes" if each.quick else "",
            each.title,
        )
        for each in ALL
    ]
    return table(("scenario", "promise", "needs", "quick", "what it does"), rows)


# -- pages --


def _between(name: str, text: str) -> Callable[[str], str]:
    """Put `text` between the markers of `name`; ValueError where a page has none."""

    def put(page: str) -> str:
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"the page needs the lines {begin} and {end}, once each")
        before, _, rest = page.partition(begin)
        return f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}"

    return put


def pages() -> dict[Path, str]:
    """Map each page that holds generated tables to what it should say."""
    error_table()  # imports every module, so that all settings are declared
    written: Mapping[Path, Sequence[Callable[[str], str]]] = {
        ROOT / "README.md": [_between("promises", promise_table("docs/promises"))],
        DOCS / "promises.md": [_between("promises", promise_table("promises"))],
        DOCS / "errors.md": [_between("tree", error_tree()), _between("errors", error_table())],
        DOCS / "logs.md": [_between("fields", field_table()), _between("outcomes", outcome_table())],
        DOCS / "metrics.md": [_between("metrics", metric_table())],
        DOCS / "prove.md": [_between("scenarios", scenario_table())],
        DOCS / "run.md": [_between("states", state_table())],
        DOCS / "settings.md": [lambda page: refreshed(page, declared("holdfast"))],
    }
    texts: dict[Path, str] = {}
    for page, parts in written.items():
        text = page.read_text(encoding="utf-8")
        for part in parts:
            text = part(text)
        texts[page] = text
    return texts


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, or look whether they are as they should be; the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated tables into the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is stale")
    check = parser.parse_args(arguments).check
    stale = {page: text for page, text in pages().items() if page.read_text(encoding="utf-8") != text}
    for page, text in stale.items():
        if not check:
            page.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{'stale' if check else 'written'}: {page.relative_to(ROOT)}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
