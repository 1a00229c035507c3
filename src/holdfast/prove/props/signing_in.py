"""Where one signs in, with whatever password: as it is configured, or on a page with a form for it."""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from holdfast.prove.http import Answer
from holdfast.prove.props.html_forms import sign_in_form
from holdfast.prove.props.sign_in_pages import sign_in_pages
from holdfast.prove.running import App
from holdfast.prove.sending import Request, fresh_names, request
from holdfast.prove.stage import Target

_WRONG: Final = frozenset({400, 401, 403, 422})
"""What says that a password was wrong, where it is known that the right one is taken."""
_SEEN: Final = frozenset({302, 303})


class SigningIn(NamedTuple):
    """A way to sign in."""

    shown: str
    page: str
    """The page that the form is on; empty where it is configured."""
    with_password: Callable[[str], Request]

    def refused(self, answer: Answer) -> bool:
        """Whether an answer says that there is no such account with such a password.

        On a page that is the same form again, or the way back to it; what a form without its cookie is told is neither.
        """
        if not self.page:
            return answer.status in _WRONG
        if answer.status in _SEEN:
            return urlsplit(answer.headers.get("location", "")).path == self.page
        again = sign_in_form(answer.body.decode(errors="replace"), self.page) is not None
        return answer.status == 401 or (200 <= answer.status < 500 and again)


async def signing_in(app: App, target: Target) -> SigningIn | None:
    """How one signs in, as somebody who is there, if that is known; None where there is no way that can be found."""
    signing = target.config.sign_in
    if signing is not None:

        def configured(password: str) -> Request:
            return request(signing.request, {**app.names, "secret": password})

        if configured("one").body != configured("another").body:
            return SigningIn(signing.request.shown, "", configured)
    for page in await sign_in_pages(app, most=1):
        return SigningIn(f"POST {page.form.action}", page.path, partial(page.filled, fresh_names()["name"]))
    return None
