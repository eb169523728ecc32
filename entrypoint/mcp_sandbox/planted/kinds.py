"""One small valid file of each common kind, always the same bytes; none holds a secret.

Where a format is compressed, its data is stored as it is: what a library makes of it may differ.
"""

from __future__ import annotations

import io
import json
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Mapping

from mcp_sandbox import samples
from mcp_sandbox.samples import TEXT

_ROWS = (("id", "title", "content"), (1, "First", TEXT), (2, "Second", "Some more notes."))
_PAGES = 3
_DATE = (2025, 1, 1, 12, 0, 0)
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OPEN = "http://schemas.openxmlformats.org"
_VERSION_AT = slice(92, 100)
"""Of an SQLite file: by which version of the library it was written last."""


def every() -> dict[str, bytes]:
    """Ending -> content, for each of ``samples.KINDS``."""
    records = [dict(zip(_ROWS[0], row, strict=True)) for row in _ROWS[1:]]
    lines = "".join(",".join(map(str, row)) + "\n" for row in _ROWS)
    text = f"{TEXT}\nSome more notes.\nThe last line of the sample.\n"
    cells = "".join(f"<li>{row[1]}: {row[2]}</li>" for row in _ROWS[1:])
    written = {
        "txt": text,
        "md": f"# Notes\n\n{TEXT}\n\n- First\n- Second\n",
        "json": json.dumps({"title": "Notes", "notes": records}, indent=2) + "\n",
        "csv": lines,
        "html": "<!DOCTYPE html>\n<html><head><title>Notes</title></head>"
        f"<body><h1>Notes</h1><p>{TEXT}</p><ul>{cells}</ul></body></html>\n",
        "xml": f'<?xml version="1.0"?>\n<notes><note id="1">{TEXT}</note></notes>\n',
        "yaml": f'title: Notes\nnotes:\n  - id: 1\n    content: "{TEXT}"\n',
        "py": f'"""Notes."""\n\n\ndef main():\n    print("{TEXT}")\n\n\nmain()\n',
        "log": f"2025-01-01T12:00:00Z INFO {TEXT}\n2025-01-01T12:00:01Z ERROR Some more notes.\n",
        "svg": '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16">'
        '<rect width="16" height="16" fill="#336699"/></svg>\n',
    }
    made = {
        "pdf": _pdf(),
        "png": _png(),
        "wav": _wav(),
        "docx": _docx(),
        "xlsx": _xlsx(),
        "db": _database(),
        "zip": _zip({samples.FILE: text.encode()}),
    }
    return {kind: content.encode() for kind, content in written.items()} | made


def _zip(parts: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)
    return out.getvalue()


def _pdf() -> bytes:
    """Pages with a line of text each, in one of the fonts that every reader has."""
    kids = " ".join(f"{4 + 2 * page} 0 R" for page in range(_PAGES))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {_PAGES} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for page in range(_PAGES):
        shown = f"BT /F1 18 Tf 72 720 Td ({TEXT} Page {page + 1} of the notes.) Tj ET"
        bodies += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792]"
            f" /Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * page} 0 R >>",
            f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream",
        ]
    out = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    table = "0000000000 65535 f \n"
    for number, body in enumerate(bodies, 1):
        table += f"{len(out):010} 00000 n \n"
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    size = len(bodies) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + f"xref\n0 {size}\n{table}{end}".encode()


def _png(side: int = 16) -> bytes:
    """One colour, eight bits a channel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = (b"\0" + bytes((0x33, 0x66, 0x99)) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _wav(rate: int = 8_000, frames: int = 800) -> bytes:
    """A tenth of a second of silence, one channel of 16 bits."""
    data = bytes(2 * frames)
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    body = b"WAVE" + head + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _package(main: str, parts: Mapping[str, tuple[str, str]]) -> bytes:
    """An Office file (ECMA-376). ``parts``: path -> content type and XML; ``main``: its first."""
    overrides = "".join(
        f'<Override PartName="/{path}" ContentType="application/{type_}"/>'
        for path, (type_, _) in parts.items()
        if type_
    )
    types = (
        f'<Types xmlns="{_OPEN}/package/2006/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    )
    written = {
        "[Content_Types].xml": types,
        "_rels/.rels": _relations("officeDocument", main),
        **{path: xml for path, (_, xml) in parts.items()},
    }
    return _zip({path: f"{_XML}{xml}".encode() for path, xml in written.items()})


def _relations(kind: str, target: str) -> str:
    return (
        f'<Relationships xmlns="{_OPEN}/package/2006/relationships"><Relationship Id="rId1" '
        f'Type="{_OPEN}/officeDocument/2006/relationships/{kind}" Target="{target}"/>'
        "</Relationships>"
    )


def _docx() -> bytes:
    """A heading's line, a paragraph, and a table."""
    main = "vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"

    def paragraph(text: object) -> str:
        return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"

    rows = "".join(
        "<w:tr>" + "".join(f"<w:tc><w:tcPr/>{paragraph(cell)}</w:tc>" for cell in row) + "</w:tr>"
        for row in _ROWS
    )
    grid = "<w:tblGrid>" + "<w:gridCol/>" * len(_ROWS[0]) + "</w:tblGrid>"
    table = f"<w:tbl><w:tblPr/>{grid}{rows}</w:tbl>"
    body = f"{paragraph('Notes')}{paragraph(TEXT)}{table}{paragraph('')}{_PAGE}"
    space = f"{_OPEN}/wordprocessingml/2006/main"
    document = f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
    return _package(
        "word/document.xml",
        {
            "word/document.xml": (main, document),
            "word/_rels/document.xml.rels": ("", _relations("styles", "styles.xml")),
            "word/styles.xml": (main.replace("document.main", "styles"), _styles(space)),
        },
    )


_PAGE = '<w:sectPr><w:pgSz w:w="12240" w:h="15840"/></w:sectPr>'
_STYLES = (
    ("paragraph", "Normal", "Normal"),
    *(("paragraph", f"heading {level}", f"Heading{level}") for level in range(1, 10)),
    ("paragraph", "Title", "Title"),
    ("paragraph", "List Bullet", "ListBullet"),
    ("paragraph", "List Number", "ListNumber"),
    ("paragraph", "Caption", "Caption"),
    ("table", "Normal Table", "TableNormal"),
    ("table", "Table Grid", "TableGrid"),
)
"""Kind, name and id of the styles that programs ask for by name."""


def _styles(space: str) -> str:
    styles = "".join(
        f'<w:style w:type="{kind}" w:styleId="{id_}"><w:name w:val="{name}"/></w:style>'
        for kind, name, id_ in _STYLES
    )
    return f'<w:styles xmlns:w="{space}">{styles}</w:styles>'


def _xlsx() -> bytes:
    """One sheet with a row of titles and two of data."""
    spread = "vnd.openxmlformats-officedocument.spreadsheetml"
    space = f'xmlns="{_OPEN}/spreadsheetml/2006/main"'

    def cell(column: int, row: int, value: object) -> str:
        at = f"{chr(ord('A') + column)}{row}"
        if isinstance(value, int):
            return f'<c r="{at}"><v>{value}</v></c>'
        return f'<c r="{at}" t="inlineStr"><is><t>{value}</t></is></c>'

    rows = "".join(
        f'<row r="{number}">'
        + "".join(cell(column, number, value) for column, value in enumerate(row))
        + "</row>"
        for number, row in enumerate(_ROWS, 1)
    )
    book = (
        f'<workbook {space} xmlns:r="{_OPEN}/officeDocument/2006/relationships"><sheets>'
        f'<sheet name="{samples.SHEET}" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    sheet = f"<worksheet {space}><sheetData>{rows}</sheetData></worksheet>"
    return _package(
        "xl/workbook.xml",
        {
            "xl/workbook.xml": (f"{spread}.sheet.main+xml", book),
            "xl/_rels/workbook.xml.rels": ("", _relations("worksheet", "worksheets/sheet1.xml")),
            "xl/worksheets/sheet1.xml": (f"{spread}.worksheet+xml", sheet),
        },
    )


def _database() -> bytes:
    """An SQLite database with one table of two rows."""
    connection = sqlite3.connect(":memory:")
    try:
        columns = "id INTEGER PRIMARY KEY, title TEXT NOT NULL, content TEXT"
        connection.execute(f"CREATE TABLE {samples.TABLE} ({columns})")
        connection.executemany(f"INSERT INTO {samples.TABLE} VALUES (?, ?, ?)", _ROWS[1:])  # noqa: S608 - a constant
        connection.commit()
        data = bytearray(connection.serialize())
    finally:
        connection.close()
    data[_VERSION_AT] = struct.pack(">II", 1, 3_040_000)
    data[24:28] = struct.pack(">I", 1)  # how often it was changed, as said above
    return bytes(data)
