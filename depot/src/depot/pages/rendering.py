"""How a page is made: a template, what it is given, and the headers that keep others out of it.

Rendering is calculation, so it runs in a thread. What a template is given is escaped wherever it is written
(autoescape), and a name that it was not given is an error (StrictUndefined), not an empty place.
"""

from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from depot.pages import filters
from depot.pages.assets import Assets
from depot.sessions import SignedIn
from holdfast import current, offload

_HERE: Final = Path(__file__).parent
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_ONLY_TLS: Final = "max-age=31536000"


class Pages:
    """Makes pages."""

    def __init__(self) -> None:
        """Read what they are made of. Blocks."""
        self.assets = Assets(_HERE / "static")
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
        )
        self._templates.filters |= {"when": filters.when, "size": filters.size, "number": filters.number}

    async def page(
        self, request: Request, template: str, signed_in: SignedIn | None, *, status: int = 200, **given: Any
    ) -> HTMLResponse:
        """The page that `template` makes of what is `given`. Which one it is of the pages says its name, or `page`."""
        record = current()
        common: dict[str, Any] = {
            "static": self.assets.url,
            "page": template.removesuffix(".html"),
            "account": signed_in and signed_in.account.name,
            "csrf": signed_in.csrf if signed_in else "",
            "request_id": record.id if record else "",
        }
        text = await offload.thread(self._rendered, template, {**common, **given})
        return HTMLResponse(text, status, headers=protected(request))

    def _rendered(self, template: str, given: dict[str, Any]) -> str:
        return self._templates.get_template(template).render(given)


def protected(request: Request) -> dict[str, str]:
    """The headers of a page: what may be in it, where it may be, and that nobody keeps it."""
    if request.url.scheme == "https":
        return {**_HEADERS, "strict-transport-security": _ONLY_TLS}
    return dict(_HEADERS)


def see_other(request: Request, path: str) -> RedirectResponse:
    """Look at `path` next, whatever the method was."""
    return RedirectResponse(path, 303, headers=protected(request))
