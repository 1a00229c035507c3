"""`holdfast prove` on backends that hardly are: each ends in a sentence that says what to do, and nothing is left."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from backends import GOOD, UVICORN, command, environment, left, prove, written
from running import wait_until

from holdfast.promises import CATALOGUE


def test_an_app_with_one_route_gets_a_verdict_without_a_word_of_configuration(tmp_path):
    folder = written(tmp_path, GOOD)
    ran = prove(folder, "shop:app", "--only", "traceable", "--json", "proof.json")
    proof = json.loads((folder / "proof.json").read_text())
    assert ran.returncode == 0, ran.stderr
    assert proof["promises"]["traceable"]["verdict"] == "kept"
    assert set(proof["promises"]) == {promise.name for promise in CATALOGUE}
    assert "holdfast prove shop:app --seed" in proof["promises"]["traceable"]["repeat"]
    assert left(folder) == []


def test_any_command_can_be_proven_and_what_is_broken_says_so_by_its_exit_code(tmp_path):
    folder = written(tmp_path, GOOD)
    ran = prove(folder, "--serve", UVICORN, "--only", "journeys", "--repeats", "0")
    assert ran.returncode == 1, ran.stderr
    assert "broken" in ran.stdout
    assert left(folder) == []


def test_a_plan_says_what_it_could_not_find_and_the_line_that_would_tell_it(tmp_path):
    folder = written(tmp_path, GOOD)
    ran = prove(folder, "shop:app", "--plan")
    assert ran.returncode == 0, ran.stderr
    assert 'upload = { request = "POST /files"' in ran.stdout
    assert "GET /" in ran.stdout


def test_what_is_required_and_not_proven_has_an_exit_code_of_its_own(tmp_path):
    folder = written(tmp_path, GOOD)
    ran = prove(folder, "shop:app", "--only", "traceable", "--require", "typed")
    assert ran.returncode == 3, ran.stderr


UGLY = {
    "does not start": ("raise RuntimeError('no database')", "", "before it was ready", "no database"),
    "has no such name": ("application = 1", "", "before it was ready", "app"),
    "answers nothing": (
        "import asyncio\nasync def app(scope, receive, send):\n    await asyncio.sleep(3600)",
        "ready-within-s = 4",
        "was not ready within 4 s",
        "ready = ",
    ),
    "has no route that works": (
        "from starlette.applications import Starlette\napp = Starlette()",
        "",
        "No GET route answers 2xx",
        "read = ",
    ),
    "needs a sign-in that fails": (
        GOOD,
        'sign-in = { request = "POST /login", token = "token" }',
        "POST /login said: 404",
        "Correct sign-in",
    ),
    "has a configuration with mistakes": (GOOD, 'raed = "GET /"\nwrite = 3', "2 mistake", "did you mean 'read'"),
    "names a dependency that is nowhere": (GOOD, 'dependencies = { HOOK = "" }', "not known where HOOK is", "stand-in"),
}


@pytest.mark.parametrize("what", UGLY)
def test_a_backend_that_cannot_be_proven_ends_in_a_sentence(tmp_path, what):
    source, config, said, advised = UGLY[what]
    folder = written(
        tmp_path, source, f"ready = '/'\n{config}" if what != "has no route that works" else "ready-within-s = 20"
    )
    ran = prove(folder, "--serve", UVICORN) if what != "has no such name" else prove(folder, "shop:app")
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert said in ran.stderr
    assert advised in ran.stderr
    assert "Traceback (most recent call last):\n  File" not in ran.stderr.replace("  | ", "")
    assert left(folder) == []


def test_a_command_that_does_not_say_where_the_port_goes_is_explained(tmp_path):
    ran = prove(written(tmp_path, GOOD), "--serve", "uvicorn shop:app --port 8000")
    assert ran.returncode == 2
    assert "{port}" in ran.stderr


def test_a_command_that_is_not_there_is_named(tmp_path):
    ran = prove(written(tmp_path, GOOD), "--serve", "no-such-server --port {port}")
    assert ran.returncode == 2
    assert "no-such-server" in ran.stderr


def test_without_a_backend_it_says_how_to_name_one(tmp_path):
    ran = prove(written(tmp_path, GOOD))
    assert ran.returncode == 2
    assert "holdfast prove module:app" in ran.stderr


@pytest.mark.parametrize("option", ["--only", "--require"])
def test_a_name_that_is_no_promise_is_answered_with_those_that_are(tmp_path, option):
    ran = prove(written(tmp_path, GOOD), "shop:app", option, "gracefull")
    assert ran.returncode == 2
    assert "gracefull" in ran.stderr


def test_a_wrong_openapi_document_is_told_and_the_rest_goes_on(tmp_path):
    document = {"openapi": "3.1.0", "paths": {"x": 1, "/": {"get": 7}}}
    source = f"{GOOD}\n    app.routes.append(Route('/openapi.json', lambda _: JSONResponse({document!r})))\n"
    ran = prove(written(tmp_path, source), "shop:app", "--plan")
    assert ran.returncode == 0, ran.stderr
    assert "does not begin with /" in ran.stdout


def test_a_report_that_cannot_be_written_is_told(tmp_path):
    ran = prove(written(tmp_path, GOOD), "shop:app", "--only", "traceable", "--html", "/no/such/folder/x.html")
    assert ran.returncode == 2
    assert "/no/such/folder" in ran.stderr


def test_a_full_disk_is_told(tmp_path):
    folder = written(tmp_path, GOOD)
    full = ["bash", "-c", 'ulimit -f 0; exec "$@"', "full", *command("shop:app")]  # no file may have a byte
    ran = subprocess.run(full, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=30)
    assert ran.returncode == 2
    assert "TMPDIR" in ran.stderr
    assert left(folder) == []


def begun(folder) -> subprocess.Popen[bytes]:
    """A run that is under way: its backend is there."""
    process = subprocess.Popen(
        command("shop:app"), cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_until(lambda: any("holdfast run" in each for each in left(folder)), "the backend is there")
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_nothing_is_left(tmp_path, number):
    folder = written(tmp_path, GOOD)
    process = begun(folder)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == (2 if number != signal.SIGKILL else -9)
    wait_until(lambda: left(folder) == [], "nothing is left")


def test_what_a_run_could_not_remove_is_removed_by_clean(tmp_path):
    folder = written(tmp_path, GOOD)
    process = begun(folder)
    for line in subprocess.run(["pgrep", "-f", "holdfast.prove.keeper"], capture_output=True, text=True).stdout.split():
        if str(folder / "temporary").encode() in Path(f"/proc/{line}/environ").read_bytes():
            subprocess.run(["kill", "-9", line], check=True)
    process.kill()
    process.communicate(timeout=20)
    assert left(folder) != []
    ran = prove(folder, "--clean")
    assert ran.returncode == 0
    assert "1 run(s)" in ran.stdout
    assert left(folder) == []


def test_an_old_run_can_be_judged_again(tmp_path):
    folder = written(tmp_path, GOOD)
    prove(folder, "shop:app", "--only", "traceable", "--json", "proof.json")
    ran = prove(folder, "--again", "proof.json", "--baseline", "proof.json")
    assert ran.returncode == 0, ran.stderr
    assert "traceable    kept" in ran.stdout
    assert "no verdict has changed" in ran.stdout
