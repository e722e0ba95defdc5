"""Every case can be made, and its goals and curves name contenders that exist."""

from pathlib import Path

import pytest

from bench.cases import CASES
from bench.sampling import Case
from bench.stage import open_stage

CHEAP = [name for name in CASES if not name.startswith(("transfer", "small-files", "runtimes"))]
"""The others fill a disk first, or start an engine."""


@pytest.mark.usefixtures("daemon_clean")
async def test_goals_and_curves_are_about_those_who_take_part(engine_host: str, tmp_path: Path) -> None:
    """All on one stage, which takes a second to set up."""
    async with open_stage(engine_host, tmp_path, quick=True) as stage:
        for name in CHEAP:
            async with CASES[name](stage) as case:
                assert case.name == name
                assert case.contenders, name
                assert named(case) <= {*case.contenders, *stage.missing}, name


def named(case: Case) -> set[str]:
    """Whom its goals and its curves name."""
    contenders = {goal.contender for goal in case.goals}
    bases = {goal.base for goal in case.goals if goal.base is not None}
    return contenders | bases | {name for curve in case.curves.values() for name in curve.values()}
