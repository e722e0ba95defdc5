"""The reaper removes everything that no live run needs, and nothing else."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, ReapResult
from lightrunner.detached.reap import reap_age
from lightrunner.host.owner import current_owner
from tests.detached.daemon_objects import (
    add_container,
    add_volume,
    dead_process,
    labels,
    other_process_of_that_number,
    process_before_the_boot,
    process_of_another_host,
)
from tests.detached.detached_runs import end, exited, is_gone, is_running, name_of, script, status_of
from tests.detached.host_process import as_keywords, host_process, told_by
from tests.detached.state_folder import state_ids, store
from tests.runs.host_folders import lay_out, names, wait_until
from tools.raw_engine import RawEngine

WORKERS, RUNS_EACH = 3, 10


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is idle is old."""
    monkeypatch.setenv("LIGHT_RUNNER_REAP_AGE_MS", "0")


@pytest.fixture
def crowd(raw: RawEngine, busybox: str) -> Iterator["Crowd"]:
    """Containers and volumes of all kinds on the daemon. What is left of them after the test is removed."""
    crowd = Crowd(raw, busybox)
    yield crowd
    for name in crowd.containers:
        raw.remove_container(name)
    for name in crowd.volumes:
        raw.remove_volume(name)


class Crowd:
    """What belongs to others."""

    def __init__(self, raw: RawEngine, image: str) -> None:
        self._raw = raw
        self._image = image
        self.containers: list[str] = []
        self.volumes: list[str] = []

    def container(self, label: dict[str, str], *, name: str | None = None, command: str | None = "sleep 300") -> str:
        """Add one."""
        self.containers.append(add_container(self._raw, self._image, label, name=name, command=command))
        return self.containers[-1]

    def volume(self, label: dict[str, str], *, name: str | None = None) -> str:
        """Add one."""
        self.volumes.append(add_volume(self._raw, label, name=name))
        return self.volumes[-1]

    def left(self) -> set[str]:
        """Which of them the daemon has."""
        there = {thing["Names"][0].removeprefix("/") for thing in self._raw.containers()}
        there |= {f"volume {thing['Name']}" for thing in self._raw.volumes()}
        return there & {*self.containers, *(f"volume {name}" for name in self.volumes)}


# --- who is an orphan -------------------------------------------------------------------------------------------------


async def test_containers_whose_process_is_dead(runner: DockerRunner, crowd: Crowd) -> None:
    orphans = {
        crowd.container(labels(dead_process())),
        crowd.container(labels(dead_process()), command="true"),
        crowd.container(labels(dead_process()), command=None),
        crowd.container(labels(other_process_of_that_number())),
        crowd.container(labels(process_before_the_boot())),
        crowd.container(labels(dead_process()), name="another-use-of-our-label"),
    }
    kept = {
        crowd.container(labels(current_owner())),
        crowd.container(labels(current_owner()), command="true"),
        crowd.container(labels(process_of_another_host())),
        crowd.container(labels(process_of_another_host()), command="true"),
        crowd.container({}, name="light-runner-without-a-label"),
        crowd.container({"light-runner.owner": str(dead_process())}, name="light-runner-not-a-run"),
    }
    would_be = await runner.reap_orphans(dry_run=True)
    assert set(would_be.containers) == orphans
    assert crowd.left() == orphans | kept, "nothing has changed"
    assert await runner.reap_orphans() == would_be
    assert crowd.left() == kept
    assert await runner.reap_orphans() == ReapResult((), ())


@pytest.mark.parametrize("age", ["0", "3600000"])
async def test_containers_of_light_runner_itself(
    runner: DockerRunner, crowd: Crowd, monkeypatch: pytest.MonkeyPatch, age: str
) -> None:
    """It has no owner label: what runs stays, what is idle goes with the time."""
    monkeypatch.setenv("LIGHT_RUNNER_REAP_AGE_MS", age)
    idle = {crowd.container(labels(None), command=command) for command in ("true", None)}
    running = {crowd.container(labels(None)), crowd.container(labels(None), name="running-with-another-name")}
    volume = crowd.volume(labels(None))
    await trio.sleep(1.1)  # A volume's age is told in seconds.
    reaped = await runner.reap_orphans()
    if age == "0":
        assert (set(reaped.containers), reaped.volumes) == (idle, (volume,))
        assert crowd.left() == running
    else:
        assert reaped == ReapResult((), ())


async def test_volumes_without_a_container(runner: DockerRunner, crowd: Crowd) -> None:
    orphans = {crowd.volume(labels(dead_process())), crowd.volume(labels(process_before_the_boot()))}
    mine, of_another_host = crowd.volume(labels(current_owner())), crowd.volume(labels(process_of_another_host()))
    not_a_run = crowd.volume({}, name="light-runner-without-a-label")
    young = crowd.volume(labels(None))
    with_a_container = labels(process_of_another_host())
    crowd.container(with_a_container)
    used = crowd.volume(with_a_container)
    would_be = await runner.reap_orphans(dry_run=True)
    assert (would_be.containers, set(would_be.volumes)) == ((), orphans)
    assert await runner.cleanup_orphan_volumes() == len(orphans)
    kept = {f"volume {name}" for name in (mine, of_another_host, not_a_run, young, used)}
    assert crowd.left() == kept | set(crowd.containers)
    assert await runner.cleanup_orphan_volumes() == 0


async def test_a_volume_goes_with_its_container(runner: DockerRunner, crowd: Crowd) -> None:
    label = labels(dead_process())
    container, volume = crowd.container(label), crowd.volume(label)
    assert crowd.left() == {container, f"volume {volume}"}
    for dry_run in (True, False):
        assert await runner.reap_orphans(dry_run=dry_run) == ReapResult((container,), ())
    assert crowd.left() == set()


@pytest.mark.parametrize("targets", ["", "{}", "[3]", '["/no/such/folder"]', "[" * 100_000])
async def test_labels_that_nobody_would_write(runner: DockerRunner, crowd: Crowd, targets: str) -> None:
    label = labels(dead_process(), "../x") | {"light-runner.extract-targets": targets}
    detached = labels(dead_process(), "../y") | {"light-runner.detached": "soon"}
    names = {crowd.container(label, name="one"), crowd.container(detached, name="two")}
    assert set((await runner.reap_orphans()).containers) == names


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 300.0), ("", 300.0), ("x", 300.0), ("-1", 300.0), ("nan", 300.0), ("0", 0.0), ("1500", 1.5), ("1e3", 1.0)],
)
def test_the_age_from_the_environment(monkeypatch: pytest.MonkeyPatch, text: str | None, seconds: float) -> None:
    monkeypatch.delenv("LIGHT_RUNNER_REAP_AGE_MS", raising=False)
    if text is not None:
        monkeypatch.setenv("LIGHT_RUNNER_REAP_AGE_MS", text)
    assert reap_age() == seconds


# --- runs of real processes -------------------------------------------------------------------------------------------


async def test_a_run_of_a_killed_process(
    runner: DockerRunner, engine_host: str, raw: RawEngine, busybox: str, tmp_path: Path
) -> None:
    to = lay_out(tmp_path / "to", {})
    keywords = as_keywords(busybox, "echo up; sleep 60", extract=[["file", str(to)]])
    async with host_process(engine_host, "run", keywords) as host:
        await host.next_told(2)
        (container,) = raw.containers(label="light-runner.run-id")
        run_id = container["Labels"]["light-runner.run-id"]
        assert await runner.reap_orphans() == ReapResult((), ())
        assert is_running(raw, run_id)
        host.process.send_signal(signal.SIGKILL)
    lay_out(to, {f".light-runner-{run_id}/half a file": "x"})
    assert (await runner.reap_orphans()).containers == (name_of(run_id),)
    assert is_gone(raw, run_id)
    assert names(to) == set()


async def test_several_at_once(runner: DockerRunner, engine_host: str, crowd: Crowd) -> None:
    for _ in range(8):
        label = labels(dead_process())
        crowd.container(label, command="true")
        crowd.volume(label)
    async with (
        host_process(engine_host, "reap", {}) as first,
        host_process(engine_host, "reap", {}) as second,
        trio.open_nursery() as nursery,
    ):
        await first.next_told()
        await second.next_told()
        for _ in range(3):
            nursery.start_soon(runner.reap_orphans)
        with trio.fail_after(60):
            await wait_until(lambda: not crowd.left())
        for host in (first, second):
            await host.next_told(len(host.told) + 1)
            await host.close_stdin()
    assert (first.process.returncode, second.process.returncode) == (0, 0), (first.errors + second.errors).decode()


@pytest.mark.usefixtures("daemon_clean", "at_once")
async def test_no_run_of_a_living_process_is_ever_reaped(engine_host: str, busybox: str) -> None:
    told: list[list[int]] = []
    attached = {"count": RUNS_EACH} | as_keywords(busybox, "exit 3")

    async def work() -> None:
        told.append(await told_by(engine_host, "runs", attached))

    async def detach_and_attach() -> None:
        for _ in range(WORKERS):
            last = (await told_by(engine_host, "detach_and_attach", as_keywords(busybox, "exit 3")))[-1]
            told.append([last])

    async with host_process(engine_host, "reap", {}) as reaper:
        await reaper.next_told()
        async with trio.open_nursery() as nursery:
            for _ in range(WORKERS):
                nursery.start_soon(work)
            nursery.start_soon(detach_and_attach)
        await reaper.close_stdin()
    assert sorted(told) == sorted([[3]] * WORKERS + [[3] * RUNS_EACH] * WORKERS)
    assert reaper.process.returncode == 0, reaper.errors.decode()
    assert len(reaper.told) > 5


# --- detached runs ----------------------------------------------------------------------------------------------------


async def test_an_exited_one_is_finished_with_its_files_when_it_is_old(
    runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = script(busybox, "echo x > file", extract=[ExtractSpec("file", tmp_path / "to")])
    run_id = await runner.detach(request)
    await exited(raw, run_id)
    assert await runner.reap_orphans() == ReapResult((), ())
    monkeypatch.setenv("LIGHT_RUNNER_REAP_AGE_MS", "0")
    assert await runner.reap_orphans(dry_run=True) == ReapResult((name_of(run_id),), ())
    assert not is_gone(raw, run_id)
    assert (await runner.reap_orphans()).containers == (name_of(run_id),)
    assert is_gone(raw, run_id)
    assert (tmp_path / "to" / "file").read_text() == "x\n"
    result = await runner.attach(run_id)
    assert (result.exit_code, result.success) == (0, True)
    assert result.extracted is not None
    assert [entry.status for entry in result.extracted] == ["ok"]


@pytest.mark.usefixtures("at_once")
async def test_one_of_another_host_is_never_touched(runner: DockerRunner, crowd: Crowd) -> None:
    for command in ("sleep 300", "true", None):
        crowd.container(labels(process_of_another_host()) | {"light-runner.detached": "0.001"}, command=command)
    assert await runner.reap_orphans() == ReapResult((), ())


async def test_what_the_removal_of_a_finished_one_left(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path
) -> None:
    """The process that finished it died between the result and the removal."""
    run_id = await runner.detach(script(busybox, "sleep 60"))
    store(state_dir, run_id, status="exited", exitCode=0)
    assert (await runner.reap_orphans()).containers == (name_of(run_id),)
    assert is_gone(raw, run_id)
    assert (await runner.attach(run_id)).exit_code == 0


@pytest.mark.usefixtures("at_once")
async def test_a_state_that_cannot_be_read(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torn, whole = [await runner.detach(script(busybox, "exit 3")) for _ in range(2)]
    for run_id in (torn, whole):
        await exited(raw, run_id)
    (state_dir / f"{torn}.json").write_text("{")
    assert set((await runner.reap_orphans()).containers) == {name_of(torn), name_of(whole)}
    assert (await runner.attach(whole)).exit_code == 3
    assert f"{torn}.json" in caplog.text


@pytest.mark.usefixtures("at_once")
async def test_one_that_cannot_be_finished_does_not_keep_the_others(
    runner: DockerRunner,
    raw: RawEngine,
    busybox: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_ids = [await runner.detach(script(busybox, "exit 3")) for _ in range(3)]
    for run_id in run_ids:
        await exited(raw, run_id)

    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, logger="lightrunner"):
        patch.setattr("lightrunner.detached.finish.write_state", fail)
        assert await runner.reap_orphans() == ReapResult((), ())
    assert caplog.text.count("could not be reaped") == 3
    assert len((await runner.reap_orphans()).containers) == 3
    assert [(await runner.attach(run_id)).exit_code for run_id in run_ids] == [3] * 3


# --- states -----------------------------------------------------------------------------------------------------------


async def test_states_are_reconciled_with_the_daemon(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path
) -> None:
    gone, never_came, about_to_come, elsewhere, running = [
        await runner.detach(script(busybox, "sleep 60")) for _ in range(5)
    ]
    for run_id in (gone, never_came, about_to_come, elsewhere):
        raw.remove_container(name_of(run_id))
        raw.remove_volume(name_of(run_id))
    store(state_dir, never_came, starting=True, owner=str(dead_process()))
    store(state_dir, about_to_come, starting=True)
    store(state_dir, elsewhere, owner=str(process_of_another_host()))
    (state_dir / "torn.json").write_text("{")
    assert await runner.cleanup_orphan_states() == 2
    assert await runner.cleanup_orphan_states() == 0
    assert {run_id: status_of(run_id) for run_id in state_ids(state_dir)} == {
        gone: "failed",
        never_came: "failed",
        about_to_come: "running",
        elsewhere: "running",
        running: "running",
        "torn": None,
    }
    await end(runner, running)
