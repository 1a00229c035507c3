"""Where one signs in, as a stranger finds out: what is configured, or a page with a form in the usual places."""

from typing import Final, NamedTuple
from urllib.parse import urlencode

from holdfast.prove.props.html_forms import sign_in_form
from holdfast.prove.running import App
from holdfast.prove.sending import Request, request

_PAGES: Final = ("/login", "/sign-in", "/auth/login", "/accounts/login/")
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


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
    for path in _PAGES:
        page = await app.stranger.ask("GET", path, headers={"Accept": "text/html"}, timeout_s=5.0)
        form = sign_in_form(page.body.decode(errors="replace"), path) if page.good else None
        if form is not None:
            cookie = page.headers.get("set-cookie", "").partition(";")[0]
            headers = {**_FORM, **({"Cookie": cookie} if cookie else {})}
            body = urlencode(form.filled(name, password)).encode()
            return Entrance(Request("POST", form.action, headers, body, {}), form.password)
    return None
