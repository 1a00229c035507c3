"""Whether a request comes from a page of ours: a browser sends its cookies along with a foreign page's forms as well.

Two tests, each enough by itself against all that is known: every form and every script of ours sends back a token that
foreign pages cannot read, and a browser says where a request comes from. Pure functions.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from depot.errors import ForeignRequest
from holdfast import Secret

HEADER: Final = "x-csrf-token"
"""Where scripts send the token."""
FIELD: Final = "csrf"
"""Where forms send it."""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing, and so need no token."""


def token_for(cookie: Secret) -> str:
    """The token that belongs to a cookie: who does not know the one cannot make the other."""
    return hmac.new(cookie.reveal().encode(), b"depot csrf", hashlib.sha256).hexdigest()


def check_token(cookie: Secret, given: str | None) -> None:
    """Raises ForeignRequest unless `given` is the token that belongs to the cookie. Compares in constant time."""
    if given is None or not hmac.compare_digest(token_for(cookie).encode(), given.encode()):
        raise ForeignRequest("The form or the page that sent this is out of date, or not of this depot.")


def check_origin(headers: Mapping[str, str]) -> None:
    """Raises ForeignRequest if the browser says that the request comes from another site.

    Sec-Fetch-Site is the browser's own judgment, so it holds whatever a proxy does to the Host. Older browsers send the
    Origin alone: its host must be the Host, and the scheme is left out, for behind a proxy it is not always known. A
    client that says nothing is no browser of today, and is left to the token.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise ForeignRequest("The request was sent by a page of another site.")
        return
    origin = headers.get("origin")
    if origin is not None and _host(origin) != headers.get("host", "").lower():
        raise ForeignRequest("The request was sent by a page of another site.")


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
