"""Pages of HTML on which one signs in, where a backend has them."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

from holdfast.prove.props.html_forms import Form, sign_in_form
from holdfast.prove.running import App
from holdfast.prove.sending import Request

SIGN_INS: Final = ("/login", "/sign-in", "/api/login", "/auth/login", "/token")
"""Where one usually signs in."""
_PAGES: Final = (*SIGN_INS, "/signin", "/accounts/login/", "/admin/login/", "/")
_PATIENCE_S: Final = 5.0


class Page(NamedTuple):
    """A page with a form for signing in."""

    path: str
    form: Form
    headers: Mapping[str, str]
    """What a browser sends with the form."""

    @property
    def cookie(self) -> str:
        """The name of the cookie that it sets; empty where it sets none."""
        return self.headers.get("Cookie", "").partition("=")[0]

    def filled(self, name: str, password: str) -> Request:
        """What a browser sends."""
        body = urlencode(self.form.filled(name, password)).encode()
        return Request("POST", self.form.action, self.headers, body, {})


async def sign_in_page(app: App, path: str) -> Page | None:
    """The page at `path`, as a stranger sees it now; None where there is no form for signing in."""
    page = await app.stranger.ask("GET", path, headers={"Accept": "text/html"}, timeout_s=_PATIENCE_S)
    form = sign_in_form(page.body.decode(errors="replace"), path) if page.good else None
    if form is None:
        return None
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    if "set-cookie" in page.headers:
        headers["Cookie"] = page.headers["set-cookie"].partition(";")[0]
    return Page(path, form, headers)


async def sign_in_pages(app: App, most: int = 8) -> list[Page]:
    """Those that are found at the usual places, one for each place that a form is sent to; not more than so many."""
    found: dict[str, Page] = {}
    for path in _PAGES:
        if len(found) == most:
            break
        page = await sign_in_page(app, path)
        if page is not None:
            found.setdefault(page.form.action, page)
    return list(found.values())
