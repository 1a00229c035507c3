"""CSV as RFC 4180 has it, read strictly, with what is nothing told from empty text."""


def parsed(text: str, newline: str = "\n", delimiter: str = ",") -> list[list[str | None]]:
    """All lines. What is nothing at all is None; anything that is no CSV fails."""
    lines: list[list[str | None]] = []
    line: list[str | None] = []
    at = 0
    while at < len(text):
        value, at = _field(text, at, newline, delimiter)
        line.append(value)
        if text.startswith(newline, at):
            lines.append(line)
            line, at = [], at + len(newline)
        else:
            assert text[at] == delimiter, (text, at)
            at += 1
            assert at < len(text), "it ends in a line"
    assert line == [], "the last line has an end"
    return lines


def _field(text: str, at: int, newline: str, delimiter: str) -> tuple[str | None, int]:
    if text[at] != '"':
        end = min(place for place in (text.find(delimiter, at), text.find(newline, at)) if place >= 0)
        assert '"' not in text[at:end]
        return text[at:end] or None, end
    found = ""
    while True:
        end = text.index('"', at + 1)
        found += text[at + 1 : end]
        at = end + 1
        if text[at : at + 1] != '"':
            return found, at
        found += '"'
