"""How often a client may come, as the operator says it."""

from typing import Annotated, Final

from holdfast.decide.patterns import Patterns
from holdfast.decide.rates import RATE_PATTERN, RATE_WORDS, Rate, rate
from holdfast.errors import SettingsInvalid
from holdfast.settings import Settings, option

_USUAL: Final = "default"
_ROUTE: Final = rf"([A-Za-z]+\s+)?/[^\s=]*\s*=\s*{RATE_PATTERN}"


class RateSettings(Settings, prefix="HOLDFAST", title="rates"):
    """How often one client may come."""

    rate: Annotated[
        str,
        option(
            "How often one client may come, such as 600/min burst 100; empty: as it likes.",
            pattern=rf"|{RATE_PATTERN}",
            pattern_words=f"a rate, {RATE_WORDS}",
        ),
    ] = ""
    rate_routes: Annotated[
        tuple[str, ...],
        option(
            "The same for single routes, each counted by itself, the first that matches: POST /login=10/min.",
            pattern=_ROUTE,
            pattern_words=f"a path in which * stands for any text, after a method or alone, then = and a rate, "
            f"{RATE_WORDS}",
        ),
    ] = ()
    rate_observe: Annotated[bool, option("Only report what would be refused.")] = False


class Rates:
    """What is allowed to one client, read from the settings."""

    def __init__(self, settings: RateSettings) -> None:
        """Read `settings`. Raises SettingsInvalid."""
        try:
            self.usual: Rate | None = rate(settings.rate) if settings.rate else None
            self.routes: Patterns[Rate] = Patterns(settings.rate_routes, rate)
        except ValueError as error:
            raise SettingsInvalid([f"HOLDFAST_RATE, HOLDFAST_RATE_ROUTES: {error}"]) from error
        self.observes: bool = settings.rate_observe

    def __bool__(self) -> bool:
        return self.usual is not None or bool(self.routes)

    def all(self) -> list[tuple[str, Rate]]:
        """Every policy: its name, and what it allows."""
        return [*self.routes.all(), *([] if self.usual is None else [(_USUAL, self.usual)])]

    def of(self, method: str, path: str) -> tuple[str, Rate] | None:
        """What is allowed for a request, under the name of its policy; None where anything is."""
        found = self.routes.find(method, path) if self.routes else None
        if found is not None:
            return found
        return None if self.usual is None else (_USUAL, self.usual)
