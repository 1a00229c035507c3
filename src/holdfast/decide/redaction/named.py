"""Secrets that free text names: `password=...`, `"api_key": "..."`, `Authorization: ...`, `--token ...`, `<pin>...</pin>`.

First the name and the sign after it are found, then the name is judged, then the end of the value is looked for. A
value without an end reaches to the end of the text.
"""

import re
from collections.abc import Iterator
from typing import Final

from holdfast.decide.redaction.names import Meaning, Names
from holdfast.decide.redaction.opaque import PIECE, is_dull, is_secret_after
from holdfast.decide.redaction.shapes import Finding

_QUOTE = r"\\{0,8}[\"'`]|%22|%27|&quot;|&#3[49];"
_NAMED: Final = re.compile(
    # the name, with the brackets of user[password]
    rf"(?P<name>(?:(?<!\w)|(?<=%[0-9A-F][0-9A-F]))[^\W\d][\w$.-]*+(?:\[[\w.-]*\]|%5B[\w.-]*%5D)*+)"
    rf"(?:(?P<quote>{_QUOTE})?\]?(?:\sstring)?\s{{0,4}}"
    # then a sign
    r"(?P<sign>:{1,4}=|=>|[?+.|!]?={1,3}|:|%3A|%3D)"
    # or a comma or nothing at all before a quoted value
    rf"|(?P<pair>{_QUOTE})\s{{0,4}},(?=\s{{0,4}}b?(?:{_QUOTE}))|(?P<bare>\s{{1,4}})(?={_QUOTE}))",
    re.IGNORECASE,
)
_SIGNS: Final = re.compile(r"[:=\"'`]|%[23]|&")
_USER: Final = re.compile(r"(?<!\S)(?:-u|--(?:proxy-)?user)[\s=]{1,4}([\"']?)([^\s\"':]{0,128}:[^\s\"']{1,128})\1")
_OPTION: Final = re.compile(r"(?<!\S)--?([A-Za-z][\w-]{1,40})\s{1,4}(?![\s-])")
_ELEMENT: Final = re.compile(r"<([A-Za-z][\w:.-]{0,60})(?:\s[^<>]{0,200})?>\s{0,40}([^<]+)</")
_ATTRIBUTES: Final = re.compile(
    rf"\b(?:key|name)(?:{_QUOTE})?\s{{0,3}}[=:]\s{{0,3}}(?:{_QUOTE})([\w.-]{{1,60}})(?:{_QUOTE})[\s,]{{1,6}}(?:{_QUOTE})?value"
    rf"(?:{_QUOTE})?\s{{0,3}}[=:]\s{{0,3}}({_QUOTE})"
)
_ROW_KEY: Final = re.compile(r"Key \(([^()\n]{1,300})\)=\(([^\n]*?)(?:\)(?= already| conflicts| is |\n|\Z)|\n|\Z)")
_OPENING: Final = re.compile(
    rf"\s{{0,8}}(?:[burf@$]{{1,2}}(?=[\"']))?(?:(\"\"\"|'''|{_QUOTE})|([\[({{]))?", re.IGNORECASE
)
# A bare value ends at a blank, and at a sign that ends it: one before a blank, the end, or another name.
_END = r"(?=[\s,;&)\]}>]|\Z|[\"'{]|[\w.%\[\]-]{1,64}[\"']?\s?[=:])"
_BARE: Final = re.compile(rf"(?:[^\s,;&\"'`<\\]|[,;&](?!{_END[3:]}|\\(?![nr\"'])|[\"'`](?!{_END[3:]}|<(?![/\w]))++")
_LINE: Final = re.compile(r"(?:[^\r\n\\]|\\(?![rn]))*+")
_SCHEMED: Final = re.compile(r"(?i)(?:bearer|basic|digest|token|negotiate|apikey|key)\s{1,4}(?=\S)")
_BRACKETS: Final = re.compile(r"\\.|[\"'\[\](){}]", re.DOTALL)
_EMPTY: Final = re.compile(
    r"(?i)(?:null|none|nil|true|false|undefined|nan|\*{1,100}|\.{3}|\$[{(]?[\w.:=$ -]{0,60}[)}]?|\{\{?\s?[\w.]{0,60}\s?\}?\}"
    r"|%\(?\w{0,40}\)?s|<[\w -]{0,40}>|\[redacted:[\w-]{1,40}\]|str|string|int|bytes|bool|any|secretstr|optional|"
    r"unset|redacted|filtered|masked|hidden)[,;.)\]}\"']{0,4}"
)
_PROSE: Final = frozenset(
    """
    must should is was were are has have had may might can cannot could does did do not no missing invalid expired
    required wrong incorrect mismatch the a an this that it its please too at for with from to of in on by unknown
    empty failed failure unauthorized denied revoked rejected accepted ok error field value input valid when if
    and or but your you only bad malformed unsupported signature reset changed updated created deleted checking
    using
    """.split()
)
_HEADERS: Final = ("authorization", "cookie", "authentication")
_OWN: Final = re.compile(
    r"(?:self|cls|settings|config|request|form|data|payload|body|user|os|args|kwargs|options)[.\[]"
)


def named(text: str, names: Names) -> Iterator[Finding]:
    """The values in `text` that a secret name stands before, in the order of their names."""
    covered = 0
    for match in _NAMED.finditer(text) if _SIGNS.search(text) else ():
        if match.start() < covered:
            continue
        name = match["name"]
        meaning = names.meaning(_with_word_before(text, match.start(), name))
        if meaning is Meaning.PLAIN or meaning is Meaning.LABEL:
            continue
        if (match["bare"] or match["pair"]) and not _introduces(text, match, meaning):
            continue
        finding = _value(text, match, name, meaning)
        if finding is not None:
            covered = finding.end
            yield finding
    if " -" in text or text.startswith("-"):
        yield from _options(text, names)
    if "value" in text:
        for match in _ATTRIBUTES.finditer(text):
            if names.meaning(match[1]) is Meaning.SECRET:
                yield Finding(match.end(), _closing_quote(text, match.end(), match[2]), "field", match[1])
    if "</" in text:
        yield from _groups(_ELEMENT, text, names)
    if "Key (" in text:
        yield from _groups(_ROW_KEY, text, names)


def _with_word_before(text: str, start: int, name: str) -> str:
    """`Api Key: ...` and `client secret = ...`: the word before belongs to a name that says little alone."""
    if name.lower() not in _SAYS_LITTLE or start < 3 or text[start - 1] not in " -":
        return name
    before = _WORD_BEFORE.search(text, max(0, start - 24), start - 1)
    return f"{before[0]}_{name}" if before else name


_SAYS_LITTLE: Final = frozenset(("key", "code", "number", "access", "id", "string", "phrase"))
_WORD_BEFORE: Final = re.compile(r"[A-Za-z0-9]{1,16}\Z")


def _introduces(text: str, match: re.Match[str], meaning: Meaning) -> bool:
    """Whether a name without a sign is followed by its value: ("authorization", "...") and password "..."."""
    if meaning is not Meaning.SECRET:
        return False
    if match["bare"] is not None:
        return True
    before = text[max(0, match.start() - 4) : match.start()].rstrip("\"'`\\b")
    return before.endswith(("(", "["))


def _is_header(name: str, match: re.Match[str]) -> bool:
    return match.re is _NAMED and match["sign"] == ":" and not match["quote"] and name.lower().endswith(_HEADERS)


def _value(text: str, match: re.Match[str], name: str, meaning: Meaning) -> Finding | None:
    """The value that begins where `match` ends or shortly after it, if it has to be hidden."""
    position = match.end()
    opening = _OPENING.match(text, position)
    start = opening.end() if opening else position
    quote, bracket = (opening[1], opening[2]) if opening else (None, None)
    if not quote and not bracket and "\n" in text[position:start]:
        return None
    if text.startswith("[redacted:", start - 1):
        return None
    if quote:
        end = _closing_quote(text, start, quote)
    elif bracket:
        start, end = start - 1, _closing_bracket(text, start)
    elif _is_header(name, match):
        end = _end_of_line(text, position, start)
    else:
        end = _end_of_bare(text, start)
    if start >= end or not _is_secret(text[start:end], name, meaning):
        return None
    if not quote and not bracket and _says_no_value(text[start:end], name, prose=start > position):
        return None
    return Finding(start, end, "field", name)


def _is_secret(value: str, name: str, meaning: Meaning) -> bool:
    if meaning is Meaning.KEY:
        run = PIECE.match(value)
        return run is not None and not is_dull(run[0]) and is_secret_after(meaning, name, run[0])
    if _EMPTY.fullmatch(value):
        return False
    return not (name.lower().endswith("tokens") and value.strip(",;.)]}").isdigit())


def _says_no_value(value: str, name: str, *, prose: bool) -> bool:
    """Whether a bare value is a word of a sentence (`password: must be ...`) or of a program (`password=password`)."""
    word = value.rstrip(",;.:!?)]}'\"").lower()
    return (prose and word in _PROSE) or word == name.lower() or _OWN.match(value) is not None


def _closing_quote(text: str, start: int, quote: str) -> int:
    """Where the text that was opened by `quote` ends: at the same quote with no more backslashes before it."""
    end = text.find(quote, start)
    while end > start and text[end - 1] == "\\" and text[end - 2] != "\\":
        end = text.find(quote, end + 1)
    return end if end >= 0 else len(text)


def _closing_bracket(text: str, start: int) -> int:
    depth, inside = 1, ""
    for match in _BRACKETS.finditer(text, start):
        sign = match[0]
        if inside:
            inside = "" if sign == inside else inside
        elif sign in "\"'":
            inside = sign
        elif sign in "[({":
            depth += 1
        elif sign in "])}":
            depth -= 1
            if depth == 0:
                return match.end()
    return len(text)


def _end_of_line(text: str, position: int, start: int) -> int:
    """The end of a header's value: of the line, or of the quotes that the whole header stands in."""
    line = _LINE.match(text, start)
    end = line.end() if line else len(text)
    opened = re.search(r"[\"'](?=[\w-]{1,40}:\s{0,4}\Z)", text[max(0, position - 50) : position])
    if opened:
        closed = text.find(opened[0], start, end)
        end = closed if closed >= 0 else end
    return end


def _end_of_bare(text: str, start: int) -> int:
    scheme = _SCHEMED.match(text, start)
    value = _BARE.match(text, scheme.end() if scheme else start)
    if value is None:
        return start
    end = value.end()
    while end > start and text[end - 1] in ")]}>\"'.,;" and not _opens(text, start, end):
        end -= 1
    return end


def _opens(text: str, start: int, end: int) -> bool:
    """Whether the closing sign at `end` was opened inside the value."""
    opener = {")": "(", "]": "[", "}": "{", ">": "<"}.get(text[end - 1])
    return opener is not None and text.find(opener, start, end) >= 0


def _options(text: str, names: Names) -> Iterator[Finding]:
    for match in _USER.finditer(text):
        yield Finding(match.start(2), match.end(2), "url-credentials")
    for match in _OPTION.finditer(text):
        if names.meaning(match[1]) is Meaning.SECRET:
            finding = _value(text, match, match[1], Meaning.SECRET)
            if finding is not None:
                yield finding


def _groups(pattern: re.Pattern[str], text: str, names: Names) -> Iterator[Finding]:
    for match in pattern.finditer(text):
        for name in match[1].split(","):
            if names.meaning(name) is Meaning.SECRET and not _EMPTY.fullmatch(match[2]):
                yield Finding(match.start(2), match.end(2), "field", name.strip())
                break
