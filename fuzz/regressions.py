"""The values that fuzzing has found, as JSON for people and for tests: regressions/<target>.json.

A file is a list of ``{"why": …, "value": …}``. Bytes are ``{"bytes": …}``, each byte the character of that number;
lone surrogates are escapes.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "regressions"

Value = str | bytes | list[Any]


def load(target: str, folder: Path = FOLDER) -> list[Value]:
    """The values on which a target has failed once."""
    return [_decoded(entry["value"]) for entry in _entries(folder / f"{target}.json")]


def save(target: str, value: Value, why: str, folder: Path = FOLDER) -> Path:
    """Keep one more, unless it is there; the file."""
    path = folder / f"{target}.json"
    entries = _entries(path)
    encoded = _encoded(value)
    if all(entry["value"] != encoded for entry in entries):
        folder.mkdir(exist_ok=True)
        path.write_text(json.dumps([*entries, {"why": why, "value": encoded}], indent=2) + "\n")
    return path


def _entries(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text()) if path.exists() else []


def _encoded(value: Value) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    return [_encoded(item) for item in value] if isinstance(value, list) else value


def _decoded(value: Any) -> Value:
    match value:
        case {"bytes": str(text)}:
            return text.encode("latin-1")
        case [*items]:
            return [_decoded(item) for item in items]
        case _:
            return str(value)
