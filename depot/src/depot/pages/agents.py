"""What a browser calls itself, in a few words that its owner recognises. Pure, and no more than a guess."""

from typing import Final

_LONGEST: Final = 60
# The first that is found counts: most browsers also call themselves by the names of those before them.
_BROWSERS: Final = {
    "Edg": "Edge", "OPR/": "Opera", "SamsungBrowser/": "Samsung Internet", "Firefox/": "Firefox", "FxiOS/": "Firefox",
    "Chrome/": "Chrome", "CriOS/": "Chrome", "Safari/": "Safari",
}  # fmt: skip
_SYSTEMS: Final = {
    "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "CrOS": "ChromeOS",
    "Mac OS X": "macOS", "Linux": "Linux",
}  # fmt: skip


def short(user_agent: str) -> str:
    """`Firefox on Linux` for a User-Agent header; what it begins with, where no browser is known in it."""
    browser = next((name for sign, name in _BROWSERS.items() if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS.items() if sign in user_agent), None)
    if browser is None:
        return "".join(one if one.isprintable() else "\ufffd" for one in user_agent[:_LONGEST]).strip() or "unknown"
    return f"{browser} on {system}" if system else browser
