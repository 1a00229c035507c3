"""svcs: a registry that a team has already, kept, with the lifetimes of Holdfast.

    resources = adopt(registry)

Each request has one `svcs.Container`, closed when the answer starts, as every resource of a request is.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import svcs

from holdfast.resources import Resources


def adopt(registry: svcs.Registry, resources: Resources | None = None) -> Resources:
    """Make everything that `registry` knows by now a request resource of `resources`, or of a new one.

    `resources.get(Service)` and FastAPI's `given` then find the services of svcs; what is registered later is found
    through `await resources.get(svcs.Container)`. The registry is closed with the application, its pings are one ping.
    What svcs does not do, it does not do here: it logs a service that fails to close and goes on, so that the request
    does not fail; and it tells a service of an exception only if it was registered with `suppress_context_exit=False`.
    """
    resources = resources if resources is not None else Resources()

    @resources.application(type=svcs.Registry, name=None, ping=_ping)
    async def svcs_registry() -> AsyncIterator[svcs.Registry]:
        try:
            yield registry
        finally:
            await registry.aclose()

    @resources.request(type=svcs.Container)
    async def svcs_container(registry: svcs.Registry) -> AsyncIterator[svcs.Container]:
        async with svcs.Container(registry) as container:
            yield container

    for service in registry:
        resources.request(type=service.svc_type, enter=False)(_from_svcs(service))
    return resources


def _from_svcs(service: svcs.RegisteredService) -> Callable[..., Awaitable[object]]:
    async def provide(container: svcs.Container) -> object:
        return await container.aget(service.svc_type)

    provide.__qualname__ = f"svcs {service.name}"
    return provide


async def _ping(registry: svcs.Registry) -> None:
    async with svcs.Container(registry) as container:
        for ping in container.get_pings():
            await ping.aping()
