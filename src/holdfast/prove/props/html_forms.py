"""A form for signing in on a page of HTML, filled in as a browser would: with what is hidden in it. Pure."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit


class Form(NamedTuple):
    """A form with a password in it."""

    action: str
    """The path that it is sent to."""
    hidden: Mapping[str, str]
    """What it sends by itself."""
    texts: tuple[str, ...]
    """Fields in which a person writes."""
    password: str
    """The field of the password."""

    def filled(self, name: str, password: str) -> dict[str, str]:
        """What is sent."""
        return {**self.hidden, **dict.fromkeys(self.texts, name), self.password: password}


class _Reading(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str], list[str], list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms and their fields."""
        known = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((known.get("action", ""), {}, [], []))
        elif tag == "input" and self.forms and known.get("name"):
            _, hidden, texts, passwords = self.forms[-1]
            kind, name = known.get("type", "text").lower(), known["name"]
            if kind == "password":
                passwords.append(name)
            elif kind in {"text", "email"}:
                texts.append(name)
            elif kind == "hidden":
                hidden[name] = known.get("value", "")


def sign_in_form(page: str, path: str) -> Form | None:
    """The first form of a page at `path` that has one password; None where there is none."""
    reading = _Reading()
    reading.feed(page)
    for action, hidden, texts, passwords in reading.forms:
        if len(passwords) == 1:
            where = urlsplit(urljoin(path, action))
            return Form(where.path or path, hidden, tuple(texts), passwords[0])
    return None
