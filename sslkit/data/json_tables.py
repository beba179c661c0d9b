"""Tables in JSON: records, lists, columns, path -> label or class -> paths, as rows of text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslkit.data.columns import LABEL, PATH
from sslkit.errors import UserError

Cells = tuple[list[str], list[list[str]]]  # names of columns ("1", "2", … where there are none), and rows
LINES = (".jsonl", ".ndjson")


def json_rows(file: Path, text: str) -> tuple[Cells, list[int], str] | None:
    """Columns and rows, the number of each row, and what that counts, "line" or "record"; None where it is no JSON.

    Raises:
        UserError: a file that is called as JSON is none, or its shape is none that is known.
    """
    suffix = file.suffix.lower()
    if not text.lstrip().startswith(("[", "{")) and suffix not in (".json", *LINES):
        return None
    try:
        if suffix in LINES:
            raise ValueError
        found = _table(json.loads(text), str(file))
        return found, [*range(1, len(found[1]) + 1)], "record"
    except ValueError:
        pass
    records, lines = list[Any](), list[int]()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except ValueError as error:
            if suffix in (".json", *LINES):
                raise UserError(f"{file}, line {number} is no JSON: {str(error).partition(':')[0]}") from None
            return None
        lines.append(number)
    if not all(isinstance(record, Mapping) for record in records) and not all(map(_is_list, records)):
        raise _strange(str(file))
    return _records(records, str(file)), lines, "line"


def _table(content: Any, file: str) -> Cells:
    if _is_list(content):
        return _records([[item] if isinstance(item, str) else item for item in content], file)
    if not isinstance(content, Mapping) or not content:
        raise _strange(file)
    (first, *more), named = content.values(), any(str(key).lower() in (*PATH, *LABEL) for key in content)
    if not more and _is_list(first) and first and not any(isinstance(item, str) for item in first):
        return _table(first, file)  # {"labels": [["a.jpg", 0], …]}
    return _records(_named(content, file) if named else _unnamed(content, file), file)


def _named(columns: Mapping[str, Any], file: str) -> list[dict[str, Any]]:
    """Records of an object whose keys are columns: of lists, of rows by number (as pandas writes it), or of one row."""
    values = [*columns.values()]
    if all(isinstance(value, Mapping) for value in values):
        return [{name: columns[name].get(row) for name in columns} for row in values[0]]
    if not any(isinstance(value, Mapping) or _is_list(value) for value in values):
        return [dict(columns)]
    if not all(map(_is_list, values)):
        raise _strange(file)
    if len({len(value) for value in values}) > 1:
        raise UserError(f"{file}: its columns {', '.join(columns)} are not equally long")
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def _unnamed(content: Mapping[str, Any], file: str) -> list[dict[str, Any]]:
    """Records of an object whose keys are paths, or classes with a list of paths each."""
    values = [*content.values()]
    if {"columns", "data"} <= content.keys():  # pandas, orient="split"
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]
    if all(isinstance(value, Mapping) for value in values):
        return [{"path": path, **value} for path, value in content.items()]
    if all(_is_list(value) and all(isinstance(path, str) for path in value) for value in values):
        return [{"path": path, "label": name} for name, value in content.items() for path in value]
    if any(isinstance(value, Mapping) or _is_list(value) for value in values):
        raise _strange(file)
    return [{"path": path, "label": label} for path, label in content.items()]


def _records(records: Sequence[Any], file: str) -> Cells:
    """Rows of objects, or of lists of equal length."""
    if all(isinstance(record, Mapping) for record in records):
        names = [*dict.fromkeys(str(key) for record in records for key in record)]
        return names, [[_text(record.get(name)) for name in names] for record in records]
    if not all(map(_is_list, records)):
        raise _strange(file)
    widest = max(map(len, records))
    return [str(i + 1) for i in range(widest)], [[_text(value) for value in record] for record in records]


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _text(value: Any) -> str:
    """A cell as a table in text has it; what has parts stays JSON, which no label and no path is."""
    if _is_list(value) and len(value) == 1:
        return _text(value[0])
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | Mapping) else str(value).strip()


def _strange(file: str) -> UserError:
    return UserError(
        f'{file}: JSON of another shape than is known; write a list of {{"path": "a.jpg", "label": "cat"}}, or an '
        'object {"a.jpg": "cat"} or {"cat": ["a.jpg"]}'
    )
