"""A value that is used but never shown."""

import hmac
from typing import Never, Self, final

HIDDEN = "Secret(***)"


@final
class Secret:
    """A text that no printing, logging, encoding or pickling gives away; only `reveal()` does.

    Two secrets are compared in a time that does not depend on where they differ; a secret never equals a plain
    `str`. It is hashable, so that settings that hold one are. Encoders that meet one fail instead of showing it.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        """Keep `value`."""
        self.__value = value

    def reveal(self) -> str:
        """Return the text itself. Call it where it is used, and keep no copy."""
        return self.__value

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self.__value), _bytes(other.__value))

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> Never:
        msg = "a Secret is not pickled: let the other process load it from its own environment"
        raise TypeError(msg)


def _bytes(text: str) -> bytes:
    # A text from os.environ may hold lone surrogates, which plain UTF-8 refuses.
    return text.encode("utf-8", "surrogatepass")
