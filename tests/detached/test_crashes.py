"""Processes that are killed, or interrupted, at random moments: nothing is left, and no detached run is lost.

The seed is shown with a failure. ``LIGHTRUNNER_CRASHES=200`` draws more moments.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, list_states
from tests.conftest import ours
from tests.detached.detached_runs import Lines
from tests.detached.host_process import HostProcess, as_keywords, host_process
from tests.detached.state_folder import leftovers, state_ids
from tests.runs.host_folders import lay_out
from tools.raw_engine import RawEngine

CRASHES = int(os.environ.get("LIGHTRUNNER_CRASHES", "40"))
INTERRUPTS = max(6, CRASHES // 4)
SEED = random.SystemRandom().randrange(10**6)
AT_ONCE = 4
LONGEST = 1.6
"""Seconds that cover a run from its first call to its last one, several at once, on a busy machine."""
SETTLED = 20.0
"""Seconds for what a daemon was asked by a process that is dead now, such as a create."""

SCRIPT = "echo first; cp input kept; mkdir -p many; seq 200 | (cd many; xargs touch); sleep 0.2; echo last"


class Crashes:
    """Processes that use the library, each with folders of its own, and what is left of them."""

    def __init__(self, engine_host: str, image: str, folder: Path) -> None:
        self._engine_host = engine_host
        self._image = image
        self._folder = folder
        self.dice = random.Random(SEED)  # noqa: S311 - repeatable on purpose
        self.detached: dict[str, Path] = {}
        """Where to each run extracts whose id was told."""
        self.ended_by: list[int | None] = []

    async def disturb(self, number: int, action: str, signals: list[tuple[float, signal.Signals]]) -> None:
        """Let a process do this, and send it signals after these pauses."""
        to = self._folder / f"to {number}"
        keywords = as_keywords(self._image, SCRIPT, dir=str(self._folder / "source"), timeout=60)
        keywords["extract"] = [["kept", str(to)], ["many", str(to / "many")]]
        async with host_process(self._engine_host, action, keywords) as host:
            await host.next_told()
            for pause, number_of_signal in signals:
                await trio.sleep(pause)
                host.process.send_signal(number_of_signal)
        self.ended_by.append(host.process.returncode)
        if run_id := told_id(action, host):
            self.detached[run_id] = to

    def staged(self) -> list[str]:
        """Staging folders, in any of the targets."""
        return [str(path) for path in self._folder.rglob(".light-runner-*")]


def told_id(action: str, host: HostProcess) -> str | None:
    """The id that a process has told before its end."""
    told = [value for value in host.told if value != "ready"]
    return str(told[0]) if action != "run" and told else None


@pytest.fixture
def crashes(engine_host: str, busybox: str, tmp_path: Path) -> Crashes:
    lay_out(tmp_path / "work" / "source", {"input": "of the host", "sub/file": "x"})
    return Crashes(engine_host, busybox, tmp_path / "work")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is idle is old; and the seed, where a test fails."""
    monkeypatch.setenv("LIGHT_RUNNER_REAP_AGE_MS", "0")
    print(f"seed {SEED}")  # noqa: T201 - pytest shows it with a failure


async def assert_attachable(runner: DockerRunner, run_id: str, to: Path | None) -> None:
    """The run was not lost: its result is true, and its files are there."""
    lines = Lines()
    result = await runner.attach(run_id, on_log=lines)
    assert (result.exit_code, result.success) == (0, True), f"run {run_id}"
    assert result.extracted is not None
    assert [entry.status for entry in result.extracted] == ["ok", "ok"]
    assert lines.texts in (["first", "last"], []), "all of the log, or none where it was finished"
    if to is not None:
        assert (to / "kept").read_text() == "of the host"
        assert len(list((to / "many").iterdir())) == 200


async def reap_all(runner: DockerRunner, raw: RawEngine) -> None:
    """Reap until nothing is left; more than once, where the daemon was still at work for the dead."""
    give_up = time.monotonic() + SETTLED
    await runner.reap_orphans()
    while ours(raw):
        assert time.monotonic() < give_up, f"left after reaping: {sorted(ours(raw))}"
        await trio.sleep(0.2)
        await runner.reap_orphans()
    await runner.cleanup_orphan_states()


@pytest.mark.timeout(60 + 15 * CRASHES)
async def test_sigkill_at_any_moment(runner: DockerRunner, raw: RawEngine, crashes: Crashes, state_dir: Path) -> None:
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def crash(number: int, action: str, moment: float) -> None:
        async with limiter:
            await crashes.disturb(number, action, [(moment, signal.SIGKILL)])

    async with trio.open_nursery() as nursery:
        for number in range(CRASHES):
            action = crashes.dice.choice(["run", "detach", "detach_and_attach", "detach_and_attach"])
            nursery.start_soon(crash, number, action, crashes.dice.uniform(0, LONGEST))
    assert crashes.ended_by.count(-signal.SIGKILL) > CRASHES // 5, "they came too late"

    assert crashes.detached.keys() <= state_ids(state_dir)
    async with trio.open_nursery() as nursery:
        for run_id, to in crashes.detached.items():
            nursery.start_soon(assert_attachable, runner, run_id, to)
    await reap_all(runner, raw)
    states = list_states()
    assert {state.id for state in states} == state_ids(state_dir), "every state can be read"
    assert [state for state in states if not state.finished] == []
    assert leftovers(state_dir) == set()
    assert crashes.staged() == []


@pytest.mark.timeout(60 + 15 * INTERRUPTS)
@pytest.mark.parametrize("action", ["detach", "detach_and_attach"])
async def test_ctrl_c_twice_at_any_moment(
    runner: DockerRunner, raw: RawEngine, crashes: Crashes, state_dir: Path, action: str
) -> None:
    """Before anybody reaps: there are containers of detached runs, which are all known, and nothing else."""
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def interrupt(number: int, signals: list[tuple[float, signal.Signals]]) -> None:
        async with limiter:
            await crashes.disturb(number, action, signals)

    async with trio.open_nursery() as nursery:
        for number in range(INTERRUPTS):
            pauses = [crashes.dice.uniform(0, LONGEST), crashes.dice.uniform(0, 0.02)]
            nursery.start_soon(interrupt, number, [(pause, signal.SIGINT) for pause in pauses])
    assert set(crashes.ended_by) <= {0, -signal.SIGINT}
    assert -signal.SIGINT in crashes.ended_by

    assert leftovers(state_dir) == set()
    assert crashes.staged() == []
    known = state_ids(state_dir)
    assert crashes.detached.keys() <= known
    assert {thing.split()[1] for thing in ours(raw)} <= {f"light-runner-{run_id}" for run_id in known}
    for run_id in known:
        await assert_attachable(runner, run_id, crashes.detached.get(run_id))
    assert ours(raw) == set()
