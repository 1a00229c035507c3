"""What people see on a terminal, and only there. A token or a password goes this way and never through the log."""

import sys
from collections.abc import Mapping

from holdfast import Secret


def show(line: str) -> None:
    """Show the answer to a command, on standard output."""
    sys.stdout.write(f"{line}\n")


def say(line: str) -> None:
    """Say something about what happens, on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def show_first_account(name: str, made_up: Mapping[str, Secret | None], address: str) -> None:
    """Show what was made up for the first account, once, and where to sign in with it."""
    shown = {what: secret for what, secret in made_up.items() if secret is not None}
    if not shown:
        return
    say(f"\n  The depot has made its first account, {name!r}. This is shown only now:\n")
    for what, secret in shown.items():
        say(f"      {what:<10}{secret.reveal()}")
    say(f"\n  Sign in at {address}\n")
