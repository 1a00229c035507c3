"""The command: `python -m depot accounts add NAME`, beside a running depot or before its first start."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from depot import accounts, terminal
from depot.database import Database
from depot.migrations import migrate
from depot.settings import DepotSettings
from holdfast import HoldfastError, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        return asyncio.run(_accounts(chosen.what, getattr(chosen, "name", "")))
    except HoldfastError as error:
        terminal.say(str(error))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m depot", description=__doc__)
    commands = parser.add_subparsers(required=True).add_parser("accounts", help="who may use the depot")
    what = commands.add_subparsers(required=True, dest="what")
    what.add_parser("list", help="the names of all accounts")
    for word, meaning in (("add", "make an account and show its token"), ("renew", "replace an account's token")):
        what.add_parser(word, help=meaning).add_argument("name")
    return parser


async def _accounts(what: str, name: str) -> int:
    chosen = settings.load(DepotSettings)
    chosen.files_folder.mkdir(parents=True, exist_ok=True)
    migrate(chosen.database_path, chosen.data / "migration.lock")
    async with Database.at(chosen.database_path) as database:
        if what == "list":
            for account in await accounts.everyone(database):
                terminal.show(account.name)
            return 0
        token = await (accounts.add if what == "add" else accounts.renew)(database, name)
        terminal.show(token.reveal())
    return 0


if __name__ == "__main__":
    sys.exit(main())
