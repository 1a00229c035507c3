"""A real reverse proxy, Caddy, in front of an application; below a path that it takes away."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
from running import wait_until

PREFIX = "/behind"


@contextlib.contextmanager
def proxied(folder: Path, port: int, served_port: int) -> Iterator[str]:
    """Everything below PREFIX at `port` goes to the application at `served_port`; the URL of its uploads."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Caddyfile").write_text(
        "{\n admin off\n auto_https off\n persist_config off\n}\n"
        f"http://127.0.0.1:{port} {{\n handle_path {PREFIX}/* {{\n  reverse_proxy 127.0.0.1:{served_port}\n }}\n}}\n"
    )
    url = f"http://127.0.0.1:{port}{PREFIX}/api/uploads"

    def answers() -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.options(url).status_code == 204
        return False

    with (folder / "caddy.log").open("w") as log:
        command = [Path(sys.executable).parent / "caddy", "run", "--config", folder / "Caddyfile"]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(folder)})
    try:
        wait_until(answers, "the proxy answers")
        yield url
    finally:
        process.terminate()
        process.wait(10)
