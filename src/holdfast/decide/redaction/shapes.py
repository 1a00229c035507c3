"""Values that are secret by their own shape, whatever stands around them.

Two habits keep the patterns cheap and linear. One that can begin with many characters begins with the one it needs
and looks behind after it, so that the engine skips to that character at the speed of a search. And one that runs to a
closing mark takes the end of the text for it, so that it never fails after a long way.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

from holdfast.decide.redaction import keys
from holdfast.decide.redaction.opaque import has_both_cases, is_identifier, wrapped


class Finding(NamedTuple):
    """A stretch of a text that must not be shown. It holds positions, never the text itself."""

    start: int
    end: int
    kind: str
    """pem, url-credentials, webhook, email, card, iban, ssn, jwt, bearer, basic, key, sql, field, encoded or opaque."""
    name: str = ""
    """The name that gave it away, where one did."""


MARK: Final = re.compile(r"\[redacted:[a-z-]{1,24}\]")
"""What stands in the place of a secret: a text is redacted only once."""

_Finder: TypeAlias = Callable[[str], Iterator[Finding]]

_PEM: Final = re.compile(
    r"-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END[ A-Z0-9]{0,60}-----|\Z)"
    r"|PuTTY-User-Key-File-[\s\S]*"
)
_URL: Final = re.compile(
    r"://([^\s/?#@:\[\]\"'<>]*+(?::(?!\d{1,5}(?:[/?#]|\Z))[^\s\"'<>@]{0,256}+)?(?:@[^\s\"'<>@/?#]{1,128}+)*)@"
)
# The same as a value of a query, where its signs are percent-encoded, and perhaps only some of them.
_ENCODED_URL: Final = re.compile(r"(?i)(?::|%3A)(?:%2F%2F|//)((?:(?!%2F|%3F|%23)[^\s/?#@&\"'<>]){1,400})(?:%40|@)")
_LONG_USER: Final = 16
_WEBHOOK: Final = re.compile(
    r"(?:hooks\.slack\.com/|discord(?:app)?\.com/api/webhooks/|webhook\.office\.com/|hooks\.zapier\.com/hooks/"
    r"|outlook\.office\.com/webhook|\.make\.com/|\.tines\.com/webhook/)[^\s\"'<>\\]{8,}"
)
# The last part is no file ending: icon@2x.png and app@1.service are no addresses.
_EMAIL: Final = re.compile(
    r"(?<![\w.+%-])(?!git@)[\w.+%-]{1,128}(?:@|%40)(?:[\w-]{1,63}\.){1,8}"
    r"(?!(?:png|jpe?g|gif|svg|webp|js|css|service|timer|socket|target)\b)[^\W\d_]{2,24}\b"
)
_CARD: Final = re.compile(
    r"[1-6](?<![\w.][1-6])(?<![\w.]-[1-6])\d{3}"
    r"(?:([ +-]|%20|)\d{4}\1\d{4}\1?\d{0,7}(?:\1\d{1,3})?|[ -]\d{6}[ -]\d{4,5})(?![\w-]|\.\d)"
)
# Numbers without signs between the digits are often identifiers: 19 digits count only in groups.
_ISSUERS: Final = re.compile(
    r"4\d{15}|5[0-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|6(?:011|4[4-9]\d|[57]\d\d|2\d\d|3\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|(?:2131|1800)\d{11}"
)
_CARD_WORD: Final = re.compile(r"(?i)\b(?:card|cc|pan|visa|mastercard|amex|maestro)\b")
_LONG_CARD: Final = re.compile(r"(?:4|62|6011)\d{15,18}")
_IBAN: Final = re.compile(r"\d(?<=(?<![\w-])[A-Za-z]{2}\d)\d(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b")
_IBAN_LENGTHS: Final = {
    pair[:2]: int(pair[2:])
    for pair in """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18
    FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20
    LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24
    SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
    """.split()
}
_SSN: Final = re.compile(r"[0-8](?<![\w.-]\d)(?!00-|66-)\d\d-(?!00)\d\d-(?!0000)\d{4}(?![\w-])")
_JWT: Final = re.compile(r"ey[JI](?<!\w...)[\w-]{8,}\.[\w-]{8,}(?:\.[\w.-]*)?")
_SCHEME: Final = re.compile(r"(?i)\b(bearer|basic|negotiate)(?:[ +\t]|%20){1,4}([\w.~+/=:%-]{6,})")
# What database drivers and servers repeat of a statement's values in their errors.
_SQL: Final = re.compile(r"\[parameters: ([\s\S]*?)(?:\](?=\n|\Z|\s{0,4}\()|\Z)|Failing row contains (\([^\n]*)")
_TELEGRAM: Final = re.compile(r"\d(?<![\w-]\d)\d{7,10}:[\w-]{35}\b")
_FACEBOOK: Final = re.compile(r"\d(?<!\w\d)\d{14,17}\|[\w-]{27}\b")
_DISCORD: Final = re.compile(r"[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,45}")
_TERRAFORM: Final = re.compile(r"(?<!\w)\w{14}\.atlasv1\.[\w=-]{60,}")
_MAXMIND: Final = re.compile(r"(?<!\w)\w{6}_\w{29}_mmk\b")
_AZURE: Final = re.compile(r"[\w~.]{3}\dQ~[\w~.-]{31,34}")
_STORAGE: Final = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==")
_MAILCHIMP: Final = re.compile(r"\b[0-9a-f]{32}-us\d{1,2}\b")
_PASSWORD_HASH: Final = re.compile(
    r"\$(?:1|2[abxy]?|5|6|7|8|9|y|apr1|argon2\w{1,2}|scrypt|pbkdf2[\w-]{0,20}|krb5\w{1,20})\$[^\s\"'<>,;]{16,}"
    r"|\b(?:pbkdf2_sha\d{1,3}|bcrypt_sha256|argon2|scrypt)\$[^\s\"'<>,;]{16,}|\{SS?HA\d{0,3}\}[A-Za-z0-9+/=]{20,}"
)


def shaped(text: str) -> Iterator[Finding]:
    """Everything in `text` that is secret by its shape, vendors' keys left aside. Findings may overlap."""
    for needles, finder in _FINDERS:
        for needle in needles:
            if needle in text:
                yield from finder(text)
                break
    yield from _numbers(text)


def vendor_keys(text: str) -> Iterator[Finding]:
    """Everything in `text` that has the form of a vendor's key. Worth calling where `text` has a long opaque run."""
    for needle, pattern in _KEY_PATTERNS:
        if needle not in text:
            continue
        for match in pattern.finditer(text):
            if (any(char.isdigit() for char in match[0]) or has_both_cases(match[0])) and not is_identifier(match[0]):
                yield Finding(match.start(), match.end(), "key")


_KEY_PATTERNS: Final = (
    ("", keys.STRONG),
    ("", keys.WEAK),
    (":", _TELEGRAM),
    ("|", _FACEBOOK),
    (".", _DISCORD),
    (".atlasv1.", _TERRAFORM),
    ("_mmk", _MAXMIND),
    ("-us", _MAILCHIMP),
    ("==", _STORAGE),
    ("Q~", _AZURE),
)


def _whole(pattern: re.Pattern[str], kind: str) -> _Finder:
    def find(text: str) -> Iterator[Finding]:
        for match in pattern.finditer(text):
            yield Finding(match.start(), match.end(), kind)

    return find


def _urls(text: str) -> Iterator[Finding]:
    for match in _URL.finditer(text):
        if ":" in match[1] or len(match[1]) >= _LONG_USER:
            yield Finding(match.start(1), match.end(1), "url-credentials")


def _encoded_urls(text: str) -> Iterator[Finding]:
    for match in _ENCODED_URL.finditer(text):
        if ":" in match[1] or "%3a" in match[1].lower() or len(match[1]) >= _LONG_USER:
            yield Finding(match.start(1), match.end(1), "url-credentials")


def _sql_values(text: str) -> Iterator[Finding]:
    for match in _SQL.finditer(text):
        group = match.lastindex or 0
        if match.start(group) < match.end(group) and not MARK.match(text, match.start(group)):
            yield Finding(match.start(group), match.end(group), "sql")


def _credentials(text: str) -> Iterator[Finding]:
    for match in _SCHEME.finditer(text):
        value = match[2]
        if match[1].lower() == "basic":
            if ":" in wrapped(value):
                yield Finding(match.start(2), match.end(2), "basic")
        elif len(value) >= _LONG_USER or any(char.isdigit() for char in value):
            yield Finding(match.start(2), match.end(2), "bearer")


_FINDERS: Final[tuple[tuple[tuple[str, ...], _Finder], ...]] = (
    (("PRIVATE KEY", "PuTTY-"), _whole(_PEM, "pem")),
    (("://",), _urls),
    (("%2F%2F", "%2f%2f", "%3A//", "%3a//"), _encoded_urls),
    (("hook", ".make.com"), _whole(_WEBHOOK, "webhook")),
    (("@", "%40"), _whole(_EMAIL, "email")),
    (("$", "HA}"), _whole(_PASSWORD_HASH, "password-hash")),
    (("eyJ", "eyI"), _whole(_JWT, "jwt")),
    (("earer", "EARER", "asic", "BASIC", "egotiate"), _credentials),
    (("[parameters: ", "Failing row"), _sql_values),
)


_DIGITS_AS_0: Final = str.maketrans("123456789", "000000000")
_CARD_FORMS: Final = ("0" * 12, "0000 0000", "0000-0000", "0000+0000", "0000%000000", "0000 000000")


def _numbers(text: str) -> Iterator[Finding]:
    """Cards, social security numbers and bank accounts; first a look at where digits stand, which costs little."""
    form = text.translate(_DIGITS_AS_0)
    if "0000" not in form:
        return
    if any(part in form for part in _CARD_FORMS):
        for match in _CARD.finditer(text):
            if _is_card(match[0], text[max(0, match.start() - 24) : match.start()]):
                yield Finding(match.start(), match.end(), "card")
    if "000-00-0000" in form:
        for match in _SSN.finditer(text):
            yield Finding(match.start(), match.end(), "ssn")
    for match in _IBAN.finditer(text):
        if _is_iban(text[match.start() - 2 : match.end()]):
            yield Finding(match.start() - 2, match.end(), "iban")


def _is_card(text: str, before: str) -> bool:
    digits = "".join(char for char in text.replace("%20", "") if char.isdigit())
    is_issued = _ISSUERS.fullmatch(digits) or (digits != text and _LONG_CARD.fullmatch(digits))
    return bool(is_issued or _CARD_WORD.search(before)) and _luhn(digits)


def _luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812-1."""
    doubled = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    return sum(doubled[int(d)] if place % 2 else int(d) for place, d in enumerate(reversed(digits))) % 10 == 0


def _is_iban(text: str) -> bool:
    """The check of ISO 13616: the country's length, and the letters as numbers, first four last, modulo 97."""
    bare = text.replace(" ", "")
    if _IBAN_LENGTHS.get(bare[:2].upper()) != len(bare) or not (bare.isupper() or (text.islower() and text == bare)):
        return False
    return int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1
