"""The command: `python -m depot accounts add NAME`, beside a running depot or before its first start.

Nothing else goes on in this process, so nothing in it is async.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial

from depot import accounts, terminal
from depot.database import Database
from depot.migrations import migrate
from depot.settings import DepotSettings
from holdfast import HoldfastError, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        _accounts(chosen.what, getattr(chosen, "name", ""))
    except HoldfastError as error:
        terminal.say(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m depot", description="Who may use the depot.")
    commands = parser.add_subparsers(required=True).add_parser("accounts", help="who may use the depot")
    what = commands.add_subparsers(required=True, dest="what")
    what.add_parser("list", help="the names of all accounts")
    for word, meaning in (("add", "make an account and show its token"), ("renew", "replace an account's token")):
        what.add_parser(word, help=meaning).add_argument("name")
    return parser


def _accounts(what: str, name: str) -> None:
    chosen = settings.load(DepotSettings)
    chosen.files_folder.mkdir(parents=True, exist_ok=True)
    migrate(chosen.database_path, chosen.data / "migration.lock")
    with closing(Database(chosen.database_path)) as database:
        if what == "list":
            for one in database.transact(accounts.names):
                terminal.show(one)
        else:
            change = partial(accounts.add if what == "add" else accounts.renew, name=name)
            terminal.show(database.transact(change, write=True).reveal())


if __name__ == "__main__":
    sys.exit(main())
