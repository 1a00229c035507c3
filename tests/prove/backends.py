"""Small backends that are proven: plain ASGI under uvicorn, and programs that are hardly backends."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

UVICORN = f"{sys.executable} -m uvicorn shop:app --port {{port}}"

GOOD = """
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def items(request):
        return JSONResponse([1, 2, 3])

    app = Starlette(routes=[Route("/", items)])
"""


def written(folder: Path, source: str, config: str = "") -> Path:
    """A project: `shop.py`, and what its pyproject.toml says in [tool.holdfast.prove]."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.py").write_text(textwrap.dedent(source))
    if config:
        (folder / "pyproject.toml").write_text(f"[tool.holdfast.prove]\n{textwrap.dedent(config)}")
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "holdfast", "prove", *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Ours, without settings; what is temporary is in `folder`, so that what is left can be seen."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return {**kept, "PYTHONPATH": str(folder), "TMPDIR": str(temporary)}


def prove(folder: Path, *arguments: str, timeout_s: float = 50) -> subprocess.CompletedProcess[str]:
    """`holdfast prove` in a folder."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=timeout_s
    )


def left(folder: Path) -> list[str]:
    """What is left of a run: its folders, and processes that know of this one."""
    temporary = folder / "temporary"
    found = [str(path) for path in temporary.glob("holdfast-prove-*")]
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"TMPDIR={temporary}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
