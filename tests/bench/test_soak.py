"""A short soak: runs with faults among them leave nothing behind, on the daemon and in this process."""

import pytest

from bench.soak import FAULT_EVERY, soak
from bench.soak_runs import FAULTS


@pytest.mark.usefixtures("daemon_clean", "busybox")
async def test_a_hundred_runs_leave_nothing(raw_host: str) -> None:
    runs = FAULT_EVERY * len(FAULTS)
    found = await soak(raw_host, runs)
    assert found.surprises == []
    assert {kind: count for kind, count in found.leaked.items() if count > 0} == {}
    assert sum(found.outcomes.values()) == runs
    assert {run.__name__ for run in FAULTS} <= set(found.outcomes)
