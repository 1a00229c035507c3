"""What is built is what works: the two wheels, installed beside each other in an environment of their own."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import httpx2
import pytest
from running import Running, free_port

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).parent / "uv"


def uv(*arguments: str | Path) -> None:
    done = subprocess.run([UV, *arguments, "--offline", "--quiet"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "depot"):
        uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, project)
    return sorted(folder.glob("*.whl"))


def test_the_wheel_holds_the_package_its_types_marker_and_its_licence_and_nothing_else(wheels):
    names = zipfile.ZipFile(next(wheel for wheel in wheels if wheel.name.startswith("holdfast"))).namelist()
    assert "holdfast/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {
        "holdfast",
        next(n for n in names if ".dist-info" in n).split("/")[0],
    }


def test_the_depot_serves_from_the_built_wheels(wheels, tmp_path):
    uv("venv", "--python", sys.executable, tmp_path / "venv")
    uv("pip", "install", "--no-deps", "--python", tmp_path / "venv" / "bin" / "python", *wheels)
    # The packages that both need are taken from here; editable projects are not, for a path of PYTHONPATH has no .pth.
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "DEPOT_DATA": str(tmp_path / "data"),
        "DEPOT_FIRST_TOKEN": "a-token-for-this-test-alone-0123456789",
        "HOLDFAST_DRAIN_DELAY_S": "0",
    }
    port = free_port()
    python = str(tmp_path / "venv" / "bin" / "python")
    where = subprocess.run(
        [python, "-c", "import holdfast, depot; print(holdfast.__file__, depot.__file__)"],
        env=environ, capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert len(re.findall(str(tmp_path / "venv"), where.stdout)) == 2
    command = [python, "-m", "holdfast", "run", "depot.app:app", "--port", str(port)]
    running = Running(command, tmp_path, environ, port)
    try:
        running.wait_ready()
        assert httpx2.get(f"{running.url}/api/files").status_code == 401
        page = httpx2.get(f"{running.url}/sign-in")
        files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
        assert {file.rpartition(".")[2] for file in files} == {"css", "js", "svg"}
        assert {httpx2.get(f"{running.url}{file}").status_code for file in (*files, "/sign-in")} == {200}
    finally:
        assert running.stop() == 0
