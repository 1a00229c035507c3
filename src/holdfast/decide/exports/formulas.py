"""Text that a spreadsheet would take for a formula (CWE-1236), and what is done with it.

A leading apostrophe makes a cell of a CSV file text (OWASP: CSV injection). Text that is a number is left as it is: it
calculates nothing. Where a cell has a type, as in XLSX, text is text and nothing needs to be done.
"""

import re
from typing import Final

_BEGINNINGS: Final = "=+\\-@\uff0b\uff0d\uff1d\uff20"
"""ASCII, and the full-width ones that some programs take for the same."""
_FORMULA: Final = re.compile(rf"[\t\r\n\x00]|[ \u00a0\u3000]*[{_BEGINNINGS}]")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(?:[.,][0-9]{1,15})?")
FIRST: Final = frozenset("\t\r\n\x00 \u00a0\u3000=+-@\uff0b\uff0d\uff1d\uff20")
"""What every such text begins with; what begins otherwise needs no closer look."""


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might calculate `text`, or hide how it begins."""
    return _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None


def neutral(text: str) -> str:
    """`text`, behind an apostrophe if it might be a formula."""
    return f"'{text}" if text[:1] in FIRST and is_formula(text) else text
