"""The command: `python -m depot accounts add NAME`, beside a running depot or before its first start.

Nothing else goes on in this process, so nothing in it is async.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from depot import accounts, passwords, terminal
from depot.database import Database
from depot.migrations import migrate
from depot.settings import DepotSettings
from holdfast import HoldfastError, Invalid, Secret, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        with _opened() as database:
            chosen.run(database, chosen)
    except HoldfastError as error:
        terminal.say(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m depot", description="Who may use the depot.")
    commands = parser.add_subparsers(required=True).add_parser("accounts", help="who may use the depot")
    what = commands.add_subparsers(required=True)
    what.add_parser("list", help="the names of all accounts").set_defaults(run=_list)
    add = what.add_parser("add", help="make an account, and show its token and password")
    renew = what.add_parser("renew", help="replace an account's token")
    password = what.add_parser("password", help="replace an account's password, and sign it out everywhere")
    for command, run in ((add, _add), (renew, _renew), (password, _password)):
        command.add_argument("name")
        command.set_defaults(run=run)
    for command in (add, password):
        command.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input; else it is made up"
        )
    return parser


def _opened() -> closing[Database]:
    chosen = settings.load(DepotSettings)
    chosen.data.mkdir(parents=True, exist_ok=True)
    migrate(chosen.database_path, chosen.data / "migration.lock")
    return closing(Database(chosen.database_path))


def _list(database: Database, _: argparse.Namespace) -> None:
    for name, has_password in database.transact(accounts.names):
        terminal.show(name)
        if not has_password:
            terminal.say(f"{name!r} has no password to sign in with: python -m depot accounts password {name}")


def _add(database: Database, chosen: argparse.Namespace) -> None:
    password, made_up = _given_password(chosen)
    kept = passwords.hashed(password)
    token = database.transact(partial(accounts.add, name=chosen.name, password=kept), write=True)
    terminal.show(f"token     {token.reveal()}")
    if made_up:
        terminal.show(f"password  {password.reveal()}")


def _renew(database: Database, chosen: argparse.Namespace) -> None:
    terminal.show(database.transact(partial(accounts.renew, name=chosen.name), write=True).reveal())


def _password(database: Database, chosen: argparse.Namespace) -> None:
    password, made_up = _given_password(chosen)
    kept = passwords.hashed(password)
    database.transact(partial(accounts.set_password, name=chosen.name, password=kept), write=True)
    if made_up:
        terminal.show(password.reveal())


def _given_password(chosen: argparse.Namespace) -> tuple[Secret, bool]:
    """The password, and whether it is a new one that has to be shown. Raises Invalid."""
    if not chosen.password_stdin:
        return passwords.new_password(), True
    try:
        line = sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Invalid("The password is not UTF-8.") from error
    return passwords.chosen(Secret(line)), False


if __name__ == "__main__":
    sys.exit(main())
