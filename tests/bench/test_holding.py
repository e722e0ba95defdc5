"""Runs that are held at once all run at the same time, and all are removed."""

import pytest

from bench.holding import hold


@pytest.mark.usefixtures("daemon_clean")
async def test_a_few_runs_are_held_and_let_go(engine_host: str, busybox: str) -> None:
    count = 6
    held = await hold(engine_host, busybox, count)
    assert held.descriptors >= 2 * count, "each listens for its output and for its exit"
    assert held.megabytes >= held.megabytes_held > 1
    assert held.starting > 0
    assert held.ending > 0
