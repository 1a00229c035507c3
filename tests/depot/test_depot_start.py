"""Starting: the tables are made once, the first token is shown once, and wrong settings stop it."""

import contextlib
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import PASSWORD, TOKEN
from sqlalchemy import create_engine

from depot.__main__ import main
from depot.migrations import migrate
from depot.models import Base


def command(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "DEPOT_"))}
    env |= {"DEPOT_DATA": str(folder / "data"), **environ}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=env, text=True, capture_output=True, timeout=30)


def test_the_migrations_make_the_tables_of_the_models(tmp_path: Path) -> None:
    path = tmp_path / "depot.sqlite"
    migrate(str(path), tmp_path / "lock")
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name IN ('files', 'records')")
        assert {"AUTOINCREMENT" in sql or "WITHOUT ROWID" in sql for (sql,) in made} == {True}
    engine.dispose()


def test_a_migration_that_dies_in_the_middle_leaves_no_half_of_it(tmp_path: Path) -> None:
    script = """
import os, sys
from alembic import op
from depot.migrations import migrate
create = op.create_table
def create_until_removals(name, *columns, **options):
    if name == "removals": os._exit(9)
    return create(name, *columns, **options)
op.create_table = create_until_removals
migrate(sys.argv[1], __import__("pathlib").Path(sys.argv[2]))
"""
    path, lock = tmp_path / "depot.sqlite", tmp_path / "lock"
    assert command(tmp_path, "-c", script, str(path), str(lock)).returncode == 9
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    migrate(str(path), lock)


def test_workers_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    script = """
import sys, pathlib
from depot.migrations import migrate
sys.stdin.readline()
migrate(sys.argv[1], pathlib.Path(sys.argv[2]))
"""
    arguments = [sys.executable, "-c", script, str(tmp_path / "depot.sqlite"), str(tmp_path / "lock")]
    workers = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        _, errors = worker.communicate(timeout=30)
        assert worker.returncode == 0, errors
    with sqlite3.connect(tmp_path / "depot.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    connection.close()


def test_two_workers_start_on_an_empty_folder_and_show_one_token_and_password(start) -> None:
    with start("--workers", "2", DEPOT_FIRST_TOKEN="", DEPOT_FIRST_PASSWORD="") as depot:
        errors = "".join(depot.running.errors)
        shown = dict(re.findall(r"^ {6}(\w+) +(\S+)$", errors, re.MULTILINE))
        assert sorted(shown) == ["password", "token"]
        assert errors.count("shown only now") == 1
        assert f"Sign in at {depot.running.url}/sign-in" in errors
        assert re.fullmatch(r"depot_[\w-]{43}", shown["token"])
        answer = httpx2.get(f"{depot.running.url}/api/files", headers={"authorization": f"Bearer {shown['token']}"})
        assert answer.json() == {"items": [], "next": None}
        assert depot.browser().sign_in("first", shown["password"]).status_code == 303
        assert depot.stop() == 0
    for secret in shown.values():
        assert secret not in "".join(depot.running.output)
        assert secret.encode() not in (depot.data / "depot.sqlite").read_bytes()


def test_a_given_first_token_and_password_are_taken_and_not_shown(shared) -> None:
    assert shared.http.get("/api/files").status_code == 200
    assert shared.browser().sign_in("first").status_code == 303
    printed = "".join(shared.running.output + shared.running.errors)
    assert (TOKEN in printed, PASSWORD in printed) == (False, False)
    assert "shown only now" not in "".join(shared.running.errors)
    assert TOKEN.encode() not in (shared.data / "depot.sqlite").read_bytes()


def test_accounts_are_added_renewed_and_listed_by_a_command(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("DEPOT_DATA", str(tmp_path / "data"))
    assert main(["accounts", "add", "ann"]) == 0
    added = capsys.readouterr().out
    assert re.fullmatch(r"token     depot_[\w-]{43}\npassword  [a-z2-9]{5}(-[a-z2-9]{5}){3}\n", added)
    assert main(["accounts", "add", "ann"]) == 1
    refused = capsys.readouterr()
    assert (refused.out, "ann" in refused.err) == ("", True)
    for name in ("", " ann", "a\nb", "x" * 256):
        assert main(["accounts", "add", name]) == 1
        assert "A name has 1 to 255 characters" in capsys.readouterr().err
    assert main(["accounts", "renew", "ann"]) == 0
    renewed = capsys.readouterr().out
    assert (renewed[:6], renewed in added) == ("depot_", False)
    listed = command(tmp_path, "-m", "depot", "accounts", "list")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "ann\n", "")


def test_a_password_can_be_made_up_anew_or_given_on_standard_input(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("DEPOT_DATA", str(tmp_path / "data"))

    def run(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        return main(["accounts", *arguments]), *capsys.readouterr()

    added = run("add", "ann", "--password-stdin", given=b"four words or more\n")
    assert re.fullmatch(r"token +depot_[\w-]{43}\n", added[1])
    made_up = run("password", "ann")
    assert re.fullmatch(r"[a-z2-9]{5}(-[a-z2-9]{5}){3}\n", made_up[1])
    assert run("password", "ann", "--password-stdin", given=b"other words again") == (0, "", "")
    code, shown, told = run("password", "ann", "--password-stdin", given=b"too short\n")
    assert (code, shown, "15 characters" in told, "too short" in told) == (1, "", True, False)
    assert run("password", "ann", "--password-stdin", given=b"\xff" * 20)[0] == 1
    code, shown, told = run("password", "bob")
    assert (code, shown, "'bob'" in told) == (1, "", True)


def test_an_account_from_before_there_were_passwords_is_kept_and_told_how_to_get_one(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    path = tmp_path / "data" / "depot.sqlite"
    path.parent.mkdir()
    monkeypatch.setenv("DEPOT_DATA", str(path.parent))
    migrate(str(path), tmp_path / "lock", to="0001")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO accounts (name, token_sha256, created) VALUES ('old', 'x', 'y')")
    main(["accounts", "list"])
    shown, told = capsys.readouterr()
    assert (shown, "accounts password old" in told) == ("old\n", True)
    assert main(["accounts", "password", "old"]) == 0
    capsys.readouterr()
    main(["accounts", "list"])
    assert capsys.readouterr() == ("old\n", "")


@pytest.mark.parametrize("arguments", [("-m", "holdfast", "run", "depot.app:app"), ("-m", "depot", "accounts", "list")])
def test_wrong_settings_stop_the_start_and_are_named_together(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    wrong = {"DEPOT_DATABASE_URL": "mysql://x", "DEPOT_MAX_FILE_MB": "0", "DEPOT_WEBHOOK_URL": "hunter2"}
    ended = command(tmp_path, *arguments, PORT="0", **wrong)
    assert ended.returncode != 0
    printed = ended.stdout + ended.stderr
    assert [name for name in wrong if name not in printed] == []
    assert "hunter2" not in printed
    assert not (tmp_path / "data").exists()


def test_the_openapi_document_declares_what_is_answered(shared) -> None:
    document = shared.http.get("/openapi.json").json()
    upload = document["paths"]["/api/files"]["post"]
    assert {"201", "400", "401", "413", "415", "422", "507"} <= set(upload["responses"])
    assert set(upload["requestBody"]["content"]) == {"multipart/form-data", "application/octet-stream"}
    assert upload["security"] == [{"HTTPBearer": []}, {"Session": []}]
    assert {"403"} <= set(upload["responses"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert {"401", "503"} <= set(operation["responses"]), (path, method)
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"], (path, method, status)
    assert json.dumps(document)
