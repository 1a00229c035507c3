"""What people see on a terminal, and only there. A token goes this way and never through the log."""

import sys

from holdfast import Secret


def show(line: str) -> None:
    """Show the answer to a command, on standard output."""
    sys.stdout.write(f"{line}\n")


def say(line: str) -> None:
    """Say something about what happens, on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def show_first_token(name: str, token: Secret) -> None:
    """Show the token of the first account, once."""
    say(f"\n  The depot has made its first account, {name!r}. Its token is shown only now:\n")
    say(f"      {token.reveal()}\n")
