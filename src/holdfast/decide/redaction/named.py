"""Secrets that free text names: `password=...`, `"api_key": "..."`, `Authorization: ...`, `--token ...`.

First the name and the sign after it are found, then the name is judged, then the end of the value is looked for. What
a finding covers is not looked at again, so that a text full of openings without ends takes no longer than another.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from holdfast.decide.redaction.names import Meaning, Names
from holdfast.decide.redaction.shapes import Finding
from holdfast.decide.redaction.values import QUOTE, closing_quote, is_said_nothing, value_after

_NAMED: Final = re.compile(
    # the name, with the brackets of user[password]
    r"(?P<name>(?:(?<!\w)|(?<=%[0-9A-F][0-9A-F]))(?<!\[redacted:)[^\W\d][\w$.-]*+(?:\[[\w.-]*\]|%5B[\w.-]*%5D)*+)"
    rf"(?:(?P<quote>{QUOTE})?\]?(?:\sstring)?\s{{0,4}}"
    # then a sign
    r"(?P<sign>:{1,4}=|=>|[?+.|!]?={1,3}|:|%3A|%3D)"
    # or a comma, or nothing at all, before a quoted value
    rf"|(?P<pair>{QUOTE})\s{{0,4}},(?=\s{{0,4}}b?(?:{QUOTE}))|(?P<bare>\s{{1,4}})(?={QUOTE}))",
    re.IGNORECASE,
)
_SIGNS: Final = re.compile(r"[:=\"'`&]|%[23]")
_OPTION: Final = re.compile(r"(?<!\S)--?([A-Za-z][\w-]{1,40})\s{1,4}(?![\s-])")
_USER: Final = re.compile(r"(?<!\S)(?:-u|--(?:proxy-)?user)[\s=]{1,4}([\"']?)([^\s\"':]{0,128}:[^\s\"']{1,128})\1")
_ELEMENT: Final = re.compile(r"<([A-Za-z][\w:.-]{0,60})(?:\s[^<>]{0,200})?>\s{0,40}([^<]+)</")
_ATTRIBUTES: Final = re.compile(
    rf"\b(?:key|name)(?:{QUOTE})?\s{{0,3}}[=:]\s{{0,3}}(?:{QUOTE})([\w.-]{{1,60}})(?:{QUOTE})[\s,]{{1,6}}"
    rf"(?:{QUOTE})?value(?:{QUOTE})?\s{{0,3}}[=:]\s{{0,3}}({QUOTE})"
)
# PostgreSQL's detail on a unique key: Key (email)=(bob@example.com) already exists.
_ROW_KEY: Final = re.compile(r"Key \(([^()\n]{1,300})\)=\(([^\n]*?)(?:\)(?= already| conflicts| is |\n|\Z)|\n|\Z)")
_QUOTED_WORD: Final = re.compile(r"[\"']([\w-]{1,40})[\"']")
_HEADERS: Final = ("authorization", "cookie", "authentication")
_SAYS_LITTLE: Final = frozenset(("key", "code", "number", "access", "id", "string", "phrase"))
_WORD_BEFORE: Final = re.compile(r"[A-Za-z0-9]{1,16}\Z")


def named(text: str, names: Names) -> Iterator[Finding]:
    """The values in `text` that a secret name stands before. Findings of different ways of naming may overlap."""
    if _SIGNS.search(text):
        yield from _assigned(text, names)
    if " -" in text or text.startswith("-"):
        yield from _options(text, names)
    if "value" in text:
        yield from _attributes(text, names)
    if "</" in text:
        yield from _groups(_ELEMENT.finditer(text), names)
    if "Key (" in text:
        yield from _groups(_ROW_KEY.finditer(text), names)


def _assigned(text: str, names: Names) -> Iterator[Finding]:
    covered = 0
    for match in _NAMED.finditer(text):
        if match.start() < covered:
            continue
        name = match["name"]
        meaning = names.meaning(_with_word_before(text, match.start(), name))
        if name == "input" and _is_of_secret(text, match.start(), names):
            meaning = Meaning.SECRET
        if meaning in {Meaning.PLAIN, Meaning.LABEL} or not _introduces(text, match, meaning):
            continue
        is_header = match["sign"] == ":" and not match["quote"] and name.lower().endswith(_HEADERS)
        span = value_after(text, match.end(), name, meaning, is_header=is_header)
        if span is not None:
            covered = span[1]
            yield Finding(*span, "field", name)


def _with_word_before(text: str, start: int, name: str) -> str:
    """`Api Key: ...` and `client secret = ...`: the word before belongs to a name that says little alone."""
    if start < 3 or text[start - 1] not in " -" or name.lower() not in _SAYS_LITTLE:
        return name
    before = _WORD_BEFORE.search(text, max(0, start - 20), start - 1)
    return f"{before[0]}_{name}" if before else name


def _is_of_secret(text: str, start: int, names: Names) -> bool:
    """Whether the input that a validation error repeats is a secret's: {'loc': ('body', 'password'), 'input': ...}."""
    loc = text.rfind("loc", max(0, start - 300), start)
    return loc >= 0 and any(names.meaning(word) is Meaning.SECRET for word in _QUOTED_WORD.findall(text, loc, start))


def _introduces(text: str, match: re.Match[str], meaning: Meaning) -> bool:
    """Whether the name is followed by its value; without a sign only in ("authorization", "...") and password "..."."""
    if match["sign"]:
        return True
    if match["bare"] or meaning is not Meaning.SECRET:
        return meaning is Meaning.SECRET
    before = text[max(0, match.start() - 4) : match.start()].rstrip("\"'`\\b")
    return before.endswith(("(", "["))


def _options(text: str, names: Names) -> Iterator[Finding]:
    for match in _USER.finditer(text):
        yield Finding(match.start(2), match.end(2), "url-credentials")
    covered = 0
    for match in _OPTION.finditer(text):
        if match.start() < covered or names.meaning(match[1]) is not Meaning.SECRET:
            continue
        span = value_after(text, match.end(), match[1], Meaning.SECRET)
        if span is not None:
            covered = span[1]
            yield Finding(*span, "field", match[1])


def _attributes(text: str, names: Names) -> Iterator[Finding]:
    """`<add key="Password" value="..."/>` and {"name": "API_KEY", "value": "..."}."""
    covered = 0
    for match in _ATTRIBUTES.finditer(text):
        if match.start() >= covered and names.meaning(match[1]) is Meaning.SECRET:
            covered = closing_quote(text, match.end(), match[2], len(text))
            yield Finding(match.end(), covered, "field", match[1])


def _groups(matches: Iterable[re.Match[str]], names: Names) -> Iterator[Finding]:
    """The second group where one of the names in the first is secret."""
    for match in matches:
        for name in match[1].split(","):
            if names.meaning(name) is Meaning.SECRET and not is_said_nothing(match[2]):
                yield Finding(match.start(2), match.end(2), "field", name.strip())
                break
