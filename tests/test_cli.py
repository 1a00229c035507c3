import json
import os
import subprocess
import sys

import pytest


def holdfast(*arguments: str, stdin: str = "", cwd=None, **environ: str) -> subprocess.CompletedProcess:
    env = {key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")} | environ
    command = [sys.executable, "-m", "holdfast", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=cwd, env=env, timeout=30)


@pytest.mark.parametrize("command", [[], ["run"], ["settings"], ["logs"], ["logs", "find"], ["logs", "review"]])
def test_help_teaches(command):
    done = holdfast(*command, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 5


def test_settings_show_each_value_and_where_it_comes_from(tmp_path):
    (tmp_path / "holdfast.toml").write_text("[drain]\ngrace_s = 7\n")
    done = holdfast("settings", cwd=tmp_path, HOLDFAST_DRAIN_DELAY_S="3")
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip().startswith("HOLDFAST_")}
    assert "environment" in lines["HOLDFAST_DRAIN_DELAY_S"]
    assert "holdfast.toml" in lines["HOLDFAST_DRAIN_GRACE_S"]
    assert "default" in lines["HOLDFAST_LOG_LEVEL"]


def test_settings_of_an_application_are_shown_and_its_secrets_are_not(tmp_path):
    (tmp_path / "shop.py").write_text(
        "from typing import Annotated\nfrom holdfast import Secret, Settings, option\n"
        "class Shop(Settings, prefix='SHOP', title='shop'):\n"
        "    key: Annotated[Secret | None, option('The key to the till.')] = None\n"
        "async def app(scope, receive, send): ...\n"
    )
    done = holdfast("settings", "shop:app", cwd=tmp_path, SHOP_KEY="sesame-open")
    assert "SHOP_KEY" in done.stdout
    assert "sesame" not in done.stdout + done.stderr


def test_a_story_is_found_in_standard_input():
    line = json.dumps({"time": "2026-11-22T10:00:00Z", "event": "stored", "request_id": "abc"})
    done = holdfast("logs", "find", "abc", stdin=line + "\n")
    assert (done.returncode, "stored" in done.stdout) == (0, True)


def test_a_review_that_finds_something_says_where_and_ends_with_1(tmp_path):
    line = json.dumps(
        {"time": "2026-11-22T10:00:00Z", "event": "signed in", "logger": "shop", "note": "alice@example.com"}
    )
    (tmp_path / "app.log").write_text(line + "\n")
    done = holdfast("logs", "review", str(tmp_path / "app.log"))
    assert done.returncode == 1
    assert "shop" in done.stdout
    assert "alice@example.com" not in done.stdout


def test_an_app_that_is_not_named_right_is_explained():
    done = holdfast("run", "shop", "--port", "0")
    assert done.returncode in {2, 3}
    assert "module:variable" in done.stdout + done.stderr


def test_a_wrong_option_is_a_usage_error():
    assert holdfast("run", "shop:app", "--port", "http").returncode == 2
