"""Several processes attach to one run: each gets the whole result, and the files are extracted once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec
from lightrunner.detached.logs import WholeLog, whole_log
from lightrunner.engine import EngineClient
from tests.detached.detached_runs import UNTIL_RELEASED, Lines, attach, is_gone, release, script, status_of
from tests.detached.host_process import as_keywords, host_process
from tests.runs.host_folders import wait_until
from tests.runs.shell_runs import EventLog
from tools.raw_engine import RawEngine

MANY_LINES = "seq 1 200"
ALL_LINES = [str(number) for number in range(1, 201)]


async def test_two_in_one_process(runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: Path) -> None:
    text = f"{MANY_LINES}; echo x > file"
    events = EventLog(raw)
    run_id = await runner.detach(script(busybox, text, extract=[ExtractSpec("file", tmp_path / "to")]))
    quick, slow = Lines(), Lines(seconds_each=0.01)
    async with trio.open_nursery() as nursery:
        executions = [await attach(nursery, runner, run_id, on_log=lines) for lines in (quick, slow)]
        results = [await execution.wait() for execution in executions]
    assert results[0] == results[1]
    assert results[0].success
    assert quick.texts == slow.texts == ALL_LINES
    assert (tmp_path / "to" / "file").read_text() == "x\n"
    assert events.actions().count("container archive-path") == 1
    assert is_gone(raw, run_id)


async def test_two_processes_one_of_them_slow(
    runner: DockerRunner, engine_host: str, raw: RawEngine, busybox: str, tmp_path: Path
) -> None:
    events = EventLog(raw)
    text = f"{MANY_LINES}; {UNTIL_RELEASED}; {MANY_LINES}; echo x > file"
    run_id = await runner.detach(script(busybox, text, extract=[ExtractSpec("file", tmp_path / "to")]))
    lines = Lines()
    slow = {"run_id": run_id, "seconds_each": 0.01}
    async with (
        host_process(engine_host, "attach", slow) as first,
        host_process(engine_host, "attach", slow) as second,
        trio.open_nursery() as nursery,
    ):
        execution = await attach(nursery, runner, run_id, on_log=lines)
        for host in (first, second):
            await host.next_told(2)
        release(raw, run_id)
        result = await execution.wait()
        assert is_gone(raw, run_id)
    told = [host.told for host in (first, second)]
    assert lines.texts == ALL_LINES * 2
    for ready, *texts, end_of_it in told:
        assert (ready, texts) == ("ready", ALL_LINES * 2)
        assert end_of_it == [0, result.duration, ["ok"]]
    assert events.actions().count("container archive-path") == 1
    assert (tmp_path / "to" / "file").read_text() == "x\n"


class HeldUpLog:
    """The log, that is opened when it is allowed; until then whoever attaches has it claimed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.may_be_read = trio.Event()
        patch.setattr("lightrunner.detached.attach.whole_log", self._open)

    @asynccontextmanager
    async def _open(self, engine: EngineClient, container: str) -> AsyncGenerator[WholeLog]:
        await self.may_be_read.wait()
        async with whole_log(engine, container) as log:
            yield log


async def test_nobody_removes_the_log_that_another_one_is_about_to_read(
    runner: DockerRunner, raw: RawEngine, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await runner.detach(script(busybox, f"{UNTIL_RELEASED}; {MANY_LINES}"))
    log = HeldUpLog(monkeypatch)
    lines = Lines()
    async with trio.open_nursery() as nursery:
        reader = await attach(nursery, runner, run_id, on_log=lines)
        other = await attach(nursery, runner, run_id)
        release(raw, run_id)
        await wait_until(lambda: status_of(run_id) == "exited")
        await trio.sleep(0.3)
        log.may_be_read.set()
        assert await reader.wait() == await other.wait()
    assert lines.texts == ALL_LINES


async def test_all_are_cancelled_while_one_of_them_is_about_to_remove_it(
    runner: DockerRunner, raw: RawEngine, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is written: nobody else would come for the removal."""
    run_id = await runner.detach(script(busybox, f"{UNTIL_RELEASED}; exit 3"))
    HeldUpLog(monkeypatch)
    async with trio.open_nursery() as nursery:
        await attach(nursery, runner, run_id, on_log=Lines())
        await attach(nursery, runner, run_id)
        release(raw, run_id)
        await wait_until(lambda: status_of(run_id) == "exited")
        await trio.sleep(0.3)
        assert not is_gone(raw, run_id)
        nursery.cancel_scope.cancel()
    assert is_gone(raw, run_id)
    assert (await runner.attach(run_id)).exit_code == 3


async def test_many_come_as_it_exits(runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: Path) -> None:
    """Some find it running, some exited, some finished; each that finds its log finds all of it."""
    run_id = await runner.detach(
        script(busybox, f"{MANY_LINES}; echo x > file", extract=[ExtractSpec("file", tmp_path / "to")])
    )
    codes: list[int] = []

    async def come(after: float) -> None:
        await trio.sleep(after)
        lines = Lines()
        codes.append((await runner.attach(run_id, on_log=lines)).exit_code)
        assert lines.texts in (ALL_LINES, [])
        assert lines.texts or after

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(come, number * 0.02)
    assert codes == [0] * 20
    assert is_gone(raw, run_id)


async def test_detached_elsewhere_attached_here(
    runner: DockerRunner, engine_host: str, raw: RawEngine, busybox: str
) -> None:
    """The process that has detached it attaches to it as well."""
    keywords = as_keywords(busybox, f"echo up; {UNTIL_RELEASED}; exit 9")
    async with host_process(engine_host, "detach_and_attach", keywords) as host:
        run_id = await host.next_told(2)
        await host.next_told(3)
        async with trio.open_nursery() as nursery:
            execution = await attach(nursery, runner, run_id)
            release(raw, run_id)
            assert (await execution.wait()).exit_code == 9
    assert host.told[2:] == ["up", 9]
