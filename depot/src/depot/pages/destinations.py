"""Where to go after signing in. What an address says is a wish, and only paths of ours are granted. Pure."""

from typing import Final

HOME: Final = "/files"
_LONGEST: Final = 2_000


def granted(wished: str) -> str:
    """The path that is wished for, or the first page where that leads elsewhere.

    Browsers read `//host`, `/\\host` and `/<tab>/host` as another host, so what is not plain text is no path.
    """
    if not wished.startswith("/") or wished.startswith("//") or len(wished) > _LONGEST:
        return HOME
    if "\\" in wished or not wished.isprintable():
        return HOME
    path = wished.partition("?")[0].partition("#")[0]
    return HOME if path in {"/", "/sign-in", "/sign-out", "/sign-out-everywhere"} else wished
