"""Where a value in free text begins and ends, and whether it says anything."""

import re
from typing import Final

from holdfast.decide.redaction.names import Meaning
from holdfast.decide.redaction.opaque import RUN, is_dull, is_path, is_secret_after
from holdfast.decide.redaction.shapes import MARK

QUOTE: Final = r"\\{0,8}[\"'`]|%22|%27|&quot;|&#3[49];"
_OPENING: Final = re.compile(
    rf"\s{{0,8}}(?:[burf@$]{{1,2}}(?=[\"']))?(?:(\"\"\"|'''|{QUOTE})|([\[({{]))?", re.IGNORECASE
)
# A bare value ends at a blank, and at a sign before a blank, before the end, or before another name.
_AFTER_SIGN = r"[\s,;&)\]}>]|\Z|[\"'{]|[\w.%\[\]-]{1,64}[\"']?\s?[=:]"
_BARE: Final = re.compile(
    rf"(?:[^\s,;&\"'`<\\]|[,;&](?!{_AFTER_SIGN})|\\(?![nr\"'])|[\"'`](?!{_AFTER_SIGN})|<(?![/\w]))++"
)
_NUMBER: Final = re.compile(
    r"[+(]{0,2}\d[\d() .-]{2,40}\d(?=[\s,;&)\]}\"'<]|\Z)"
)  # of a telephone or a card, with its blanks
_LINE: Final = re.compile(r"(?:[^\r\n\\]|\\(?![rn]))*+")
_HEADER_IN_QUOTES: Final = re.compile(r"([\"'])[\w-]{1,40}:\s{0,4}\Z")
_SCHEME: Final = re.compile(r"(?i)(?:bearer|basic|digest|token|negotiate|apikey|key)\s{1,4}(?=\S)")
_BRACKETS: Final = re.compile(r"\\.|[\"'\[\](){}]", re.DOTALL)
_CLOSES: Final = {")": "(", "]": "[", "}": "{", ">": "<"}
_SAID_NOTHING: Final = re.compile(
    r"(?i)(?:null|none|nil|true|false|undefined|nan|\*{1,100}|\.{3}|\$[{(]?[\w.:=$ -]{0,60}[)}]?|%\(?\w{0,40}\)?s"
    r"|\{\{?\s?[\w.]{0,60}\s?\}?\}|<[\w -]{0,40}>|str|string|int|bytes|bool|any|secretstr"
    r"|optional|unset|redacted|filtered|masked|hidden)?[,;.)\]}\"']{0,4}"
)
# Words that follow `password:` in a sentence about a password.
_PROSE: Final = frozenset(
    "must should is was were are has have had may might can cannot could does did do not no missing invalid "
    "expired required wrong incorrect mismatch the a an this that it its please too at for with from to of in on "
    "by unknown empty failed failure unauthorized denied revoked rejected accepted ok error field value input "
    "valid when if and or but your you only bad malformed unsupported signature reset changed updated created "
    "deleted checking using".split()
)
_CODE: Final = re.compile(
    r"(?:self|cls|settings|config|request|form|data|payload|body|user|os|args|kwargs|options)[.\[]"
)
_SHORT: Final = 256


def value_after(
    text: str, position: int, name: str, meaning: Meaning, *, is_header: bool = False
) -> tuple[int, int] | None:
    """Where the value of `name` stands that begins at `position` or shortly after; None where there is none to hide."""
    opening = _OPENING.match(text, position)
    start = opening.end() if opening else position
    quote, bracket = (opening[1] or "", opening[2] or "") if opening else ("", "")
    if MARK.match(text, start - len(bracket)):
        return None
    if not quote and not bracket and "\n" in text[position:start]:
        return None
    if meaning is Meaning.KEY:
        return _key(text, start, name)
    if bracket:
        start -= 1
    stop = min(len(text), start + _SHORT)
    end = _end(text, start, stop, quote, bracket, is_header=is_header)
    if end < stop or stop == len(text):
        value = text[start:end]
        if is_said_nothing(value) or _is_number_of_tokens(name, value):
            return None
        if not quote and not bracket and _is_word(value, name, after_blank=start > position):
            return None
    else:
        end = _end(text, start, len(text), quote, bracket, is_header=is_header)
    return (start, end) if start < end else None


def is_said_nothing(value: str) -> bool:
    """Whether `value` stands for no value, or for one that is not there: null, ***, ${TOKEN}, a redaction."""
    return len(value) <= _SHORT and bool(_SAID_NOTHING.fullmatch(value) or MARK.fullmatch(value))


def closing_quote(text: str, start: int, quote: str, stop: int) -> int:
    """Where the text that `quote` opened ends, `stop` at the latest.

    A quote with k backslashes before it, in a string in a string, is closed by one with as many; each quote inside the
    text has 2k + 1, and each backslash before that 2 (k + 1) more.
    """
    sign, level = quote.lstrip("\\"), len(quote) - len(quote.lstrip("\\"))
    position = start
    while (end := text.find(sign, position, stop)) >= 0:
        before = text[position:end]
        backslashes = len(before) - len(before.rstrip("\\"))
        if backslashes < level:
            return end - backslashes  # the string around it ends
        if (backslashes - level) // (level + 1) % 2 == 0:
            return end - level
        position = end + 1
    return stop


def _key(text: str, start: int, name: str) -> tuple[int, int] | None:
    run = RUN.match(text, start)
    if run is None or is_dull(run[0]) or is_path(run[0]) or not is_secret_after(Meaning.KEY, name, run[0]):
        return None
    return run.span()


def _end(text: str, start: int, stop: int, quote: str, bracket: str, *, is_header: bool) -> int:
    if quote:
        return closing_quote(text, start, quote, stop)
    if bracket:
        return _closing_bracket(text, start, stop)
    return _end_of_line(text, start, stop) if is_header else _end_of_bare(text, start, stop)


def _closing_bracket(text: str, start: int, stop: int) -> int:
    depth, inside = 0, ""
    for match in _BRACKETS.finditer(text, start, stop):
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
    return stop


def _end_of_line(text: str, start: int, stop: int) -> int:
    """The end of a header's value: of the line, or of the quotes that the whole header stands in."""
    line = _LINE.match(text, start, stop)
    end = line.end() if line else stop
    opened = _HEADER_IN_QUOTES.search(text, max(0, start - 48), start)
    closed = text.find(opened[1], start, end) if opened else -1
    return closed if closed >= 0 else end


def _end_of_bare(text: str, start: int, stop: int) -> int:
    number = _NUMBER.match(text, start, stop)
    if number is not None:
        return number.end()
    scheme = _SCHEME.match(text, start, stop)
    value = _BARE.match(text, scheme.end() if scheme else start, stop)
    if value is None:
        return start
    end = value.end()
    for _ in range(4):
        sign = text[end - 1]
        if end <= start or sign not in ")]}>\"'.,;" or text.find(_CLOSES.get(sign, "\0"), start, end) >= 0:
            break
        end -= 1
    return end


def _is_word(value: str, name: str, *, after_blank: bool) -> bool:
    """Whether a bare value is a word of a sentence (`password: must be ...`) or of a program (`password=password`)."""
    word = value.rstrip(",;.:!?)]}'\"").lower()
    return (after_blank and word in _PROSE) or value == name or _CODE.match(value) is not None


def _is_number_of_tokens(name: str, value: str) -> bool:
    return name.lower().endswith("tokens") and value.strip(",;.)]}").isdigit()
