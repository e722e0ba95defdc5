"""Runs cancelled at any moment, and killed processes, leave nothing of pools and runs."""

import signal
from pathlib import Path

import pytest

from lightrunner import DockerRunner
from tests.conftest import ours
from tests.detached.host_process import as_keywords, host_process
from tests.runs.checkpoints import cancelled_at, count_steps
from tests.runs.host_folders import lay_out
from tests.runs.shell_runs import shell
from tests.warm.waiting import pause_containers, warm_containers
from tests.warm.ways import Way, prepared, warm
from tools.raw_engine import RawEngine

STRIDE = 4
"""Steps between one cancellation and the next; a run has some thirty."""


@pytest.mark.parametrize("way", [warm, prepared])
async def test_a_run_is_cancelled_at_many_of_its_checkpoints(
    runner: DockerRunner, daemon_clean: RawEngine, way: Way, busybox: str, tmp_path: Path
) -> None:
    source = lay_out(tmp_path, {"file": "of the host"})
    request = shell(busybox, "cat file -", dir=source, input={"n": 1})
    async with way(runner, request) as start:
        with count_steps():
            step = 1
            while (await cancelled_at(step, lambda: start(request))).is_over:
                step += STRIDE
        assert step > 5 * STRIDE
        assert (await start(request)).stdout == b'of the host{"n":1}'
    assert not ours(daemon_clean)


@pytest.mark.parametrize("seconds", [0.0, 0.8], ids=["while it refills", "when all is ready"])
async def test_what_a_killed_process_held_is_found_by_the_reaper(
    runner: DockerRunner, daemon_clean: RawEngine, engine_host: str, busybox: str, seconds: float
) -> None:
    keywords = as_keywords(busybox, "echo; sleep 3600", seconds=seconds)
    async with host_process(engine_host, "keep_ready", keywords) as host:
        await host.next_told()
        assert len(pause_containers(daemon_clean)) >= 2
        assert len(warm_containers(daemon_clean)) >= 3
        assert not (await runner.reap_orphans()).containers, "it is alive"
        host.process.send_signal(signal.SIGKILL)
    assert len((await runner.reap_orphans()).containers) >= 2 + 3
    while ours(daemon_clean):  # The daemon may still be busy with what it was asked last.
        await runner.reap_orphans()
