"""Pages of HTML on which one signs in, where a backend has them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from holdfast.prove.props.html_forms import Form, sign_in_form
from holdfast.prove.running import App

SIGN_INS: Final = ("/login", "/sign-in", "/api/login", "/auth/login", "/token")
"""Where one usually signs in."""


class Page(NamedTuple):
    """A page with a form for signing in."""

    path: str
    form: Form
    headers: Mapping[str, str]
    """What a browser sends with the form."""


async def sign_in_pages(app: App) -> list[Page]:
    """Those that are found at the usual places, as a stranger sees them."""
    found: list[Page] = []
    for path in SIGN_INS:
        page = await app.stranger.ask("GET", path, headers={"Accept": "text/html"})
        form = sign_in_form(page.body.decode(errors="replace"), path) if page.good else None
        if form is None:
            continue
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
        if "set-cookie" in page.headers:
            headers["Cookie"] = page.headers["set-cookie"].partition(";")[0]
        found.append(Page(path, form, headers))
    return found
