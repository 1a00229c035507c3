"""What a backend depends on, with a fault proxy before each: the variable that names it names the proxy instead."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from holdfast.decide.dependencies import Address, dependency, redirected
from holdfast.errors import HoldfastError
from holdfast.prove.config import Config
from holdfast.prove.proxy import Proxy
from holdfast.prove.standin import StandIn, standing_in

STAND_IN = "stand-in"
"""The value of a dependency for which there is an HTTP server of ours; `stand-in/path` says a path of it."""


class DependencyUnclear(HoldfastError):
    """A dependency cannot be put behind a proxy."""

    code = "prove-dependency-unclear"
    advice = (
        "Say in [tool.holdfast.prove.dependencies] where it is, as the backend wants it: a URL or host:port; "
        'or "stand-in" for an HTTP server that takes whatever comes.'
    )


class Neighbour:
    """A dependency, as a scenario sees it."""

    def __init__(self, variable: str, value: str, proxies: list[Proxy], stand_in: StandIn | None) -> None:
        """`value` is what the backend is given for `variable`."""
        self.variable: str = variable
        self.value: str = value
        self.proxies: list[Proxy] = proxies
        """One for each address that it has; nearly always one."""
        self.stand_in: StandIn | None = stand_in
        """What is behind it, where that is ours."""

    @property
    def proxy(self) -> Proxy:
        """The first."""
        return self.proxies[0]


@asynccontextmanager
async def neighbours(config: Config, seed: int) -> AsyncGenerator[dict[str, Neighbour]]:
    """All that are configured, by their variables. Raises DependencyUnclear."""
    async with AsyncExitStack() as stack:
        found: dict[str, Neighbour] = {}
        for variable, said in config.dependencies.items():
            found[variable] = await _neighbour(stack, variable, said, config.environment, seed)
        yield found


async def _neighbour(
    stack: AsyncExitStack, variable: str, said: str, environment: Mapping[str, str], seed: int
) -> Neighbour:
    stand_in: StandIn | None = None
    if said == STAND_IN or said.startswith(f"{STAND_IN}/"):
        stand_in, (host, port) = await stack.enter_async_context(standing_in())
        value = f"http://{host}:{port}{said.removeprefix(STAND_IN)}"
    else:
        value = said or environment.get(variable, "") or os.environ.get(variable, "")
    if not value:
        raise DependencyUnclear(
            f"It is not known where {variable} is: neither the configuration nor the environment says."
        )
    read = dependency(value)
    if not read.addresses:
        raise DependencyUnclear(f"{variable} names nothing that is reached by TCP.")
    proxies = {
        each: await stack.enter_async_context(Proxy(upstream=(each.host, each.port), seed=seed))
        for each in read.addresses
    }
    to = {each: Address(*proxy.address) for each, proxy in proxies.items()}
    return Neighbour(variable, redirected(value, to), list(proxies.values()), stand_in)
