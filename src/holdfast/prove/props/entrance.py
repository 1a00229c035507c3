"""Where one signs in, as a stranger finds out: what is configured, or a page with a form in the usual places."""

from typing import NamedTuple

from holdfast.prove.props.sign_in_pages import sign_in_pages
from holdfast.prove.running import App
from holdfast.prove.sending import Request, request


class Entrance(NamedTuple):
    """A place where one may sign in by a form."""

    request: Request
    """What is sent, with a name and a password that nobody has."""
    password: str
    """The field of the password; empty where it is not known which one that is."""


async def entrance(app: App, name: str, password: str) -> Entrance | None:
    """The first that is found; None where there is none. What is configured is sent as it is configured."""
    signing = app.config.sign_in
    if signing is not None:
        return Entrance(request(signing.request, app.names), "")
    for page in await sign_in_pages(app, most=1):
        return Entrance(page.filled(name, password), page.form.password)
    return None
