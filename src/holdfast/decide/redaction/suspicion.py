"""What may be a leak although nothing proves it: for people who look through logs, not for the way to the log."""

import re
from typing import Final

from holdfast.decide.redaction.names import Meaning, Names
from holdfast.decide.redaction.opaque import PIECE, is_dull, is_key_like, is_path

_PERSONAL: Final = re.compile(
    r"(?:first|last|middle|full|given|family|maiden|sur|nick|user|real|customer|patient|guest|holder)_?name|address|street|"
    r"zip_?code|post(?:al)?_?code|birth|gender|nationality|religion|ethnic|salary|income|passport|licen[cs]e|medical|"
    r"diagnos|insurance|tax|latitude|longitude|fingerprint_?data|biometric|contact|recipient|signature|login",
    re.IGNORECASE,
)
_NOT_PERSONAL: Final = re.compile(r"(?:ip|mac|remote|client|server|bind|listen|memory|email)_?addr", re.IGNORECASE)
_SECRET: Final = re.compile(
    r"salt|seed|cvn|key_?material|keyfile|unlock|magic_?link|reset_?(?:link|url)|invite", re.IGNORECASE
)
_OPAQUE: Final = re.compile(r"\S{16,512}")


def suspicion(name: str, value: str, names: Names) -> str:
    """Why `value` under `name`, which nothing redacts, may still be a leak; the empty string where it hardly is one."""
    meaning = names.meaning(name)
    if meaning in {Meaning.SECRET, Meaning.LABEL} or not value or value.startswith("[redacted:"):
        return ""
    if _PERSONAL.search(name) and not _NOT_PERSONAL.search(name):
        return "personal name"
    if _SECRET.search(name):
        return "secret name"
    if _OPAQUE.fullmatch(value) and not is_path(value) and any(_is_opaque(piece) for piece in PIECE.findall(value)):
        return "opaque value"
    return ""


def _is_opaque(piece: str) -> bool:
    return not is_dull(piece) and is_key_like(piece)
