"""What an XLSX file is made of besides its cells: a ZIP archive that is only ever appended to, and a little XML in it.

The archive is written here because `zipfile` cannot flush what it compresses, and has sizes of 64 bits only in a way
that Excel offers to repair. So no part may reach 4 GiB before compression; the archive may.
"""

import re
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from holdfast.decide.exports.columns import Column, Columns, Kind
from holdfast.parts.exports import threads
from holdfast.parts.exports.formats.values import utf8

# -- the archive --

_LEVEL: Final = 1
"""Cells are so alike that higher levels take twice the time to save a fifth."""
_WORTH: Final = 128 * 1024
"""Bytes that are worth a thread."""
_DAY: Final = 0x21
"""The first of January 1980: the same rows make the same file."""
_STREAMED: Final = 0x08
"""The sizes come behind the part."""
_LONG: Final = 0xFFFFFFFF
_SHORT: Final = 0xFFFF


class _Entry(NamedTuple):
    """A part that is done."""

    name: bytes
    flags: int
    crc: int
    packed: int
    size: int
    at: int

    def local(self) -> bytes:
        """What stands before it."""
        sizes = (0, 0, 0) if self.flags else (self.crc, self.packed, self.size)
        return struct.pack("<4s5H3I2H", b"PK\3\4", 20, self.flags, 8, 0, _DAY, *sizes, len(self.name), 0) + self.name

    def behind(self) -> bytes:
        """What stands behind it, where it was streamed."""
        return struct.pack("<4s3I", b"PK\7\x08", self.crc, self.packed, self.size)

    def listed(self) -> bytes:
        """Its line in the directory. Only its place may need 64 bits."""
        far = struct.pack("<2HQ", 1, 8, self.at) if self.at >= _LONG else b""
        version = 45 if far else 20
        sizes = (self.crc, self.packed, self.size, len(self.name), len(far), 0, 0, 0, 0, min(self.at, _LONG))
        return struct.pack("<4s6H3I5H2I", b"PK\1\2", 45, version, self.flags, 8, 0, _DAY, *sizes) + self.name + far


class Archive:
    """A ZIP archive, written from front to back: every method gives the bytes that follow."""

    def __init__(self, at: int = 0) -> None:
        """It begins after `at` bytes of something else."""
        self._at = at
        self._entries: list[_Entry] = []
        self._name = b""
        self._begun_at = 0
        self._packer = zlib.compressobj(_LEVEL, wbits=-15)
        self._crc = 0
        self._packed = 0
        self._gathered: list[bytes] = []
        self._waiting = 0
        self._packing: Future[bytes] | None = None
        self.size: int = 0
        """Bytes of the part that is being written, before compression."""

    def add(self, name: str, content: str) -> bytes:
        """A whole part."""
        raw = content.encode()
        packer = zlib.compressobj(wbits=-15)
        packed = packer.compress(raw) + packer.flush()
        entry = _Entry(name.encode(), 0, zlib.crc32(raw), len(packed), len(raw), self._at)
        self._entries.append(entry)
        return self._appended(entry.local() + packed)

    def begin(self, name: str) -> bytes:
        """A part whose content follows."""
        self._name, self._begun_at = name.encode(), self._at
        self._packer = zlib.compressobj(_LEVEL, wbits=-15)
        self._crc = self._packed = self.size = 0
        return self._appended(_Entry(self._name, _STREAMED, 0, 0, 0, self._at).local())

    def write(self, content: bytes) -> bytes:
        """Some content of the part. A thread compresses it while the next is made, and it comes with what follows."""
        self.size += len(content)
        self._gathered.append(content)
        self._waiting += len(content)
        if self._waiting < _WORTH:
            return b""
        packed = self._settled()
        self._packing = threads.start(self._pack, self._taken())
        return packed

    def flush(self) -> bytes:
        """What is in the compressor."""
        return self._all() + self._compressed(self._packer.flush(zlib.Z_SYNC_FLUSH))

    def end(self) -> bytes:
        """The end of the part."""
        rest = self._all() + self._compressed(self._packer.flush())
        entry = _Entry(self._name, _STREAMED, self._crc, self._packed, self.size, self._begun_at)
        self._entries.append(entry)
        return rest + self._appended(entry.behind())

    def close(self) -> bytes:
        """The directory, without which the file is none."""
        listed = b"".join(entry.listed() for entry in self._entries)
        begins, count = self._at, len(self._entries)
        ends = begins + len(listed)
        if ends >= _LONG or count >= _SHORT:
            numbers = (44, 45, 45, 0, 0, count, count, len(listed), begins)
            listed += struct.pack("<4sQ2H2I4Q", b"PK\6\6", *numbers)
            listed += struct.pack("<4sIQI", b"PK\6\7", 0, ends, 1)
        few = min(count, _SHORT)
        size = min(ends - begins, _LONG)
        return listed + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, few, few, size, min(begins, _LONG), 0)

    def _pack(self, content: bytes) -> bytes:
        self._crc = zlib.crc32(content, self._crc)
        return self._packer.compress(content)

    def _settled(self) -> bytes:
        """What the thread has made."""
        packing, self._packing = self._packing, None
        return b"" if packing is None else self._compressed(packing.result())

    def _all(self) -> bytes:
        """All there is, compressed here and now."""
        return self._settled() + self._compressed(self._pack(self._taken()))

    def _taken(self) -> bytes:
        gathered, self._gathered, self._waiting = self._gathered, [], 0
        return b"".join(gathered)

    def _compressed(self, packed: bytes) -> bytes:
        self._packed += len(packed)
        return self._appended(packed)

    def _appended(self, made: bytes) -> bytes:
        self._at += len(made)
        return made


# -- the XML --

_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_MIME: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"

BOLD: Final = 1
DATE: Final = 2
TIMESTAMP: Final = 3
TIME: Final = 5
INTERVAL: Final = 7
"""Styles of cells. But for the date, the next one has milliseconds as well."""

_FORMATS: Final = (
    "yyyy-mm-dd",
    "yyyy-mm-dd hh:mm:ss",
    "yyyy-mm-dd hh:mm:ss.000",
    "hh:mm:ss",
    "hh:mm:ss.000",
    "[hh]:mm:ss",
    "[hh]:mm:ss.000",
)
_FIRST_FORMAT: Final = 164
"""Those before are built in."""


def _styles() -> str:
    codes = list(enumerate(_FORMATS, _FIRST_FORMAT))
    formats = "".join(f'<numFmt numFmtId="{number}" formatCode="{code}"/>' for number, code in codes)
    xf = '<xf numFmtId="{}" fontId="{}" fillId="0" borderId="0" xfId="0"{}/>'
    cells = [xf.format(0, 0, ""), xf.format(0, 1, ' applyFont="1"')]
    cells += [xf.format(number, 0, ' applyNumberFormat="1"') for number, _ in codes]
    name = '<name val="Calibri"/><family val="2"/>'
    return (
        f'{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="{len(codes)}">{formats}</numFmts>'
        f'<fonts count="2"><font><sz val="11"/>{name}</font><font><b/><sz val="11"/>{name}</font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(cells)}">{"".join(cells)}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    )


STYLES: Final = _styles()
ROOT: Final = (
    f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)
"""Where the workbook is."""


def content_types(sheets: int) -> str:
    """What each part of a file with so many sheets is."""
    parts = [("/xl/workbook.xml", "sheet.main"), ("/xl/styles.xml", "styles")]
    parts += [(f"/xl/worksheets/sheet{number}.xml", "worksheet") for number in range(1, sheets + 1)]
    overrides = "".join(f'<Override PartName="{name}" ContentType="{_MIME}.{kind}+xml"/>' for name, kind in parts)
    return (
        f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    )


def relations(sheets: int) -> str:
    """Where the parts of the workbook are."""
    parts = [("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, sheets + 1)]
    parts.append(("styles", "styles.xml"))
    lines = (
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(parts, 1)
    )
    return f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{"".join(lines)}</Relationships>'


def workbook(name: str, filters: Sequence[str]) -> str:
    """The list of sheets: each has what its filter is over, or nothing."""
    names = [sheet_name(name, number) for number in range(1, len(filters) + 1)]
    sheets = "".join(
        f'<sheet name={quoteattr(one)} sheetId="{number}" r:id="rId{number}"/>' for number, one in enumerate(names, 1)
    )
    defined = "".join(map(_defined, range(len(names)), names, filters))
    return (
        f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{sheets}</sheets>{f'<definedNames>{defined}</definedNames>' if defined else ''}</workbook>"
    )


def _defined(place: int, name: str, over: str) -> str:
    """A filter, by the name that Excel gives it."""
    if not over:
        return ""
    cells = re.sub("([A-Z]+)([0-9]+)", r"$\1$\2", over)
    quoted = escape(name.replace("'", "''"))
    called = f'name="_xlnm._FilterDatabase" localSheetId="{place}" hidden="1"'
    return f"<definedName {called}>'{quoted}'!{cells}</definedName>"


_NOT_IN_NAMES: Final = re.compile(r"[\[\]:*?/\\\x00-\x1f\x7f\ufffe\uffff]+")
_LONGEST: Final = 31


def sheet_name(wanted: str, number: int) -> str:
    """A name that Excel takes, for the first, second or further sheet."""
    clean = " ".join(_NOT_IN_NAMES.sub(" ", utf8(wanted).decode()).split()).strip("' ")
    if not clean or clean.casefold() == "history":  # which Excel keeps for itself
        clean = f"{clean} Export".strip()
    suffix = f" {number}" if number > 1 else ""
    fits = clean.encode("utf-16-le")[: 2 * (_LONGEST - len(suffix))].decode("utf-16-le", "ignore")
    return fits.rstrip(" '") + suffix


# -- a sheet --

_WIDTHS: Final = {
    Kind.BOOLEAN: 8,
    Kind.INTEGER: 12,
    Kind.FLOAT: 14,
    Kind.DECIMAL: 14,
    Kind.DATE: 11,
    Kind.TIME: 13,
    Kind.TIMESTAMP: 23,
    Kind.INTERVAL: 14,
    Kind.UUID: 38,
    Kind.TEXT: 24,
    Kind.JSON: 40,
    Kind.JSON_TEXT: 40,
}
_WIDTH: Final = 16
_WIDEST: Final = 60


def sheet_head(columns: Columns, *, first: bool) -> str:
    """What comes before the first row of a sheet: the first row stays in sight, the columns have widths."""
    widths = "".join(
        f'<col min="{number}" max="{number}" width="{_width(column)}" customWidth="1"/>'
        for number, column in enumerate(columns, 1)
    )
    selected = ' tabSelected="1"' if first else ""
    return (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView{selected} workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/><selection pane="bottomLeft"/>'
        '</sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/>'
        f"{f'<cols>{widths}</cols>' if widths else ''}<sheetData>"
    )


def sheet_tail(over: str) -> str:
    """What comes after the last row, with a filter over these cells, if any."""
    return f"</sheetData>{f'<autoFilter ref={quoteattr(over)}/>' if over else ''}</worksheet>"


def area(columns: int, rows: int) -> str:
    """The cells of so many columns and rows; nothing if there are no columns."""
    return f"A1:{letters(columns)}{rows}" if columns else ""


def _width(column: Column) -> int:
    """By the kind, or so that the name fits beside the button of the filter."""
    return max(_WIDTHS.get(column.kind, _WIDTH), min(len(column.name) + 4, _WIDEST))


def letters(number: int) -> str:
    """The name of a column."""
    name = ""
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(65 + rest) + name
    return name
