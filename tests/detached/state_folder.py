"""Read and write the state folder without the library."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightrunner import RunState

MOMENT = datetime(2024, 5, 6, 7, 8, 9, 123000, UTC)


def running(run_id: str = "run-1", **fields: Any) -> RunState:
    """A run that has started."""
    name = f"light-runner-{run_id}"
    always: dict[str, Any] = {"id": run_id, "container": name, "volume": name, "image": "busybox", "workdir": "/app"}
    always |= {"started_at": MOMENT, "status": "running"}
    return RunState(**always | fields)


def leftovers(folder: Path) -> set[str]:
    """Lock files and temporary files: names of what is there beside states; nothing where there is no folder."""
    return {path.name for path in folder.glob("*") if path.suffix != ".json"}


def mode_of(path: Path) -> int | None:
    """The permission bits; None where nothing is there."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def forget_all(folder: Path) -> None:
    """Remove all states."""
    for path in folder.glob("*.json"):
        path.unlink()


def state_ids(folder: Path) -> set[str]:
    """The ids of the runs whose states are in the folder."""
    return {path.stem for path in folder.glob("*.json")}


def stored(folder: Path, run_id: str) -> dict[str, Any]:
    """A state as it is on the disk."""
    fields: dict[str, Any] = json.loads((folder / f"{run_id}.json").read_bytes())
    return fields


def store(folder: Path, run_id: str, **fields: object) -> None:
    """Change fields of a state on the disk; None takes one out."""
    changed = stored(folder, run_id) | fields
    text = json.dumps({name: value for name, value in changed.items() if value is not None})
    (folder / f"{run_id}.json").write_text(text)
