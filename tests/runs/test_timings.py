"""`RunResult.timings`: seconds per phase, which add up to no more than the run took."""

import time
from pathlib import Path

import msgspec
import pytest

from lightrunner import DockerRunner, ExtractSpec
from tests.runs.shell_runs import Run, shell

EVERYWHERE = {"create", "attach", "start", "run", "cleanup"}


@pytest.mark.needs("isolated_network")
async def test_each_phase_takes_time_and_all_of_them_no_more_than_there_was(
    runner: DockerRunner, busybox: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("content")
    request = shell(
        busybox,
        "sleep 0.5",
        platform="linux",  # Without one the image is looked at beside the create.
        network=None,
        dir=tmp_path / "in",
        extract=[ExtractSpec("file", tmp_path / "out")],
    )
    begin = time.monotonic()
    result = await runner.run(request)
    wall = time.monotonic() - begin
    phases: dict[str, float] = msgspec.structs.asdict(result.timings)
    assert set(phases) == EVERYWHERE | {"image", "network", "seed", "extract"}
    assert all(seconds > 0 for seconds in phases.values())
    assert sum(phases.values()) <= wall
    assert 0.4 < result.duration <= phases["run"]
    assert sum(phases.values()) > 0.9 * wall, "hardly anything is unaccounted for"


async def test_what_did_not_happen_takes_none(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, "exit 1", extract=[ExtractSpec("file", "out")]))
    assert result.timings.extract == 0
    assert result.timings.image == 0, "it was there"
    assert result.timings.network < 0.01, "it is named, and was not looked for"
    assert all(getattr(result.timings, name) > 0 for name in EVERYWHERE)


@pytest.mark.needs("isolated_network")
async def test_the_network_is_made_sure_of_once(runner: DockerRunner, busybox: str) -> None:
    first, second = [(await runner.run(shell(busybox, "true", network=None))).timings for _ in range(2)]
    assert first.network > 2 * second.network
