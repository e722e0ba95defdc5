"""``doctor``: what `lightrunner.doctor` finds, for people."""

import argparse
from collections.abc import Sequence

from lightrunner.doctor import Diagnosis, Level, examine

from . import exits, tables
from .signals import Signals
from .stdio import STDOUT, has_colors, put

_MARKS: dict[Level, str] = {"ok": "ok", "note": "note", "warning": "WARNING", "error": "ERROR"}
_COLORS: dict[Level, str] = {"ok": "32", "note": "36", "warning": "33", "error": "31"}
_STATUSES: dict[Level, int] = {"ok": exits.OK, "note": exits.OK, "warning": 1, "error": 2}


async def doctor(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Examine the daemon and this host."""
    diagnosis = await examine(args.host)
    put(tables.to_json(diagnosis) if args.json else shown(diagnosis, colors=has_colors(STDOUT)))
    return _STATUSES[diagnosis.level] if diagnosis.reachable else exits.UNREACHABLE


def shown(diagnosis: Diagnosis, *, colors: bool) -> str:
    """A line for each finding, and one below it for what to do."""
    lines: list[str] = []
    for finding in diagnosis.findings:
        mark = f"{_MARKS[finding.level]:<8}"
        if colors:
            mark = f"\x1b[{_COLORS[finding.level]}m{mark}\x1b[0m"
        lines.append(f"{mark} {finding.check:<9} {tables.printable(finding.message)}")
        if finding.advice is not None:
            lines.append(f"{'':<18} -> {tables.printable(finding.advice)}")
    return "\n".join(lines)
