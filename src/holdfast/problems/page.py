"""A problem as a page, for a browser that asks for one."""

import html
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

_STYLE: Final = """
:root{color-scheme:light dark;--ground:#f6f8f7;--text:#16211e;--soft:#55625d;--line:#dbe2df;--accent:#0b6a5a;
font:100%/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
@media (prefers-color-scheme:dark){
:root{--ground:#0f1413;--text:#e4ebe8;--soft:#9daba6;--line:#2a3532;--accent:#63cfb6}}
body{margin:0;background:var(--ground);color:var(--text)}
main{box-sizing:border-box;max-width:40rem;margin:0 auto;padding:clamp(2rem,16vh,9rem) 1.5rem 3rem}
main{overflow-wrap:anywhere}
h1{font-size:1.625rem;line-height:1.25;letter-spacing:-.015em;margin:0 0 1rem}
p{margin:0 0 .75rem}
.status{color:var(--accent);font-weight:600;margin:0}
.id{margin-top:2rem;padding-top:1.25rem;border-top:1px solid var(--line);color:var(--soft);font-size:.875rem}
code{display:block;color:var(--text);user-select:all}
code{font:1rem/1.5 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
"""
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main><p class="status">{status}</p><h1>{title}</h1><p>{detail}</p><p>{advice}</p>{request}</main></body></html>
"""
_REQUEST: Final = """
<div class="id"><p>Request ID <code>{request_id}</code></p>
<p>Whoever runs this service finds in the log, under this ID, what happened. Name it when you ask for help.</p></div>
"""
# No link leads on from the page: of an application that is not known, no address is known to be there.
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
CSP: Final = (
    b"content-security-policy",
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'".encode(),
)


def page(members: Mapping[str, object]) -> bytes:
    """The page says what the document says; it runs no script and loads nothing."""
    shown = {key: html.escape(str(members[key] or "")) for key in ("status", "title", "detail", "advice", "request_id")}
    request = _REQUEST.format(**shown) if shown["request_id"] else ""
    return _PAGE.format(style=_STYLE, request=request, **shown).encode()


def wants_page(accept: bytes | None) -> bool:
    """Whether a client prefers HTML: it names `text/html` before, or without, any JSON."""
    if accept is None or b"text/html" not in accept:
        return False
    json = accept.find(b"json")
    return json < 0 or accept.find(b"text/html") < json
