"""Cancellation from outside, at any moment, leaves nothing of the run on the daemon."""

import itertools
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from lightrunner import (
    DockerRunner,
    Execution,
    ExtractSpec,
    LightRunnerError,
    LightRunnerErrorCode,
    LogLine,
    RunRequest,
    RunResult,
)
from lightrunner.testing import Answer, FakeEngine, Request, hang, json_answer, plain, proceed
from tests.conftest import ours
from tests.fake_daemon import fake_daemon
from tests.runs.checkpoints import Countdown, cancelled_at, count_steps
from tests.runs.host_folders import lay_out, names
from tests.runs.shell_runs import shell, start
from tools.raw_engine import RawEngine

AT_ONCE = 4
"""Runs at the same time: a start is mostly waiting for the kernel."""

FAKE = RunRequest(image="fake:1", network="none", capture_output=True)
NO_IMAGE = json_answer({"message": "No such image"}, status=404)

MakeRun = Callable[[int], Callable[[], Awaitable[object]]]
Everything = Callable[[Path, str | None], RunRequest]


@pytest.fixture
def everything(busybox: str, tmp_path: Path) -> Everything:
    """Requests that go through every phase, by where they extract to and their network."""
    source = lay_out(tmp_path / "source", {"file": "of the host", "sub/file": "x"})

    def request(to: Path, network: str | None) -> RunRequest:
        extract = [ExtractSpec("copy", to)]
        script = "cat; cat file > copy; echo end >&2"
        return shell(busybox, script, dir=source, input={"n": 1}, network=network, extract=extract, timeout=60)

    return request


async def cancel_at_every(stride: int, make_run: MakeRun, raw: RawEngine) -> int:
    """Cancel runs at their first step, and every `stride` steps, until one completes; the number of that step."""
    countdowns: dict[int, Countdown] = {}

    async def one(step: int) -> None:
        countdowns[step] = await cancelled_at(step, make_run(step))

    for begin in itertools.count(1, stride * AT_ONCE):
        batch = range(begin, begin + stride * AT_ONCE, stride)
        with count_steps():
            async with trio.open_nursery() as nursery:
                for step in batch:
                    nursery.start_soon(one, step)
        left = ours(raw)
        assert not left, f"cancelled at one of the steps {list(batch)}: {left}"
        for step in batch:
            if not countdowns[step].is_over:
                return step
            if step < 20:  # The container has not been started then.
                assert countdowns[step].scope.cancelled_caught
    raise AssertionError("no run completes")


# --- at every checkpoint ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [("none", 1), (None, 9)], ids=["each one", "every 9th, in the isolated network"])
async def test_a_run_is_cancelled_at_each_of_its_checkpoints(
    runner: DockerRunner, daemon_clean: RawEngine, everything: Everything, how: tuple[str | None, int], tmp_path: Path
) -> None:
    network, stride = how

    def make_run(step: int) -> Callable[[], Awaitable[object]]:
        to = tmp_path / f"to {step}"

        async def run() -> None:
            lines: list[LogLine] = []
            try:
                await runner.run(everything(to, network), on_log=lines.append)
            finally:
                told = len(lines)
                assert names(to) in (set(), {"copy"}), "an extract lands whole or not at all"
            assert told == len(lines)

        return run

    assert await cancel_at_every(stride, make_run, daemon_clean) > 40


async def test_a_started_run_is_cancelled_at_its_checkpoints(
    runner: DockerRunner, daemon_clean: RawEngine, everything: Everything, tmp_path: Path
) -> None:
    executions: list[Execution] = []

    def make_run(step: int) -> Callable[[], Awaitable[object]]:
        async def run() -> None:
            async with trio.open_nursery() as nursery:
                execution = await start(nursery, runner, everything(tmp_path / f"to {step}", "none"))
                executions.append(execution)
                await execution.wait()

        return run

    assert await cancel_at_every(5, make_run, daemon_clean) > 40
    assert executions
    for execution in executions:
        with trio.fail_after(1):
            assert await outcome(execution) in {"a result", LightRunnerErrorCode.RUN_ABORTED}


async def outcome(execution: Execution) -> str:
    try:
        result = await execution.wait()
    except LightRunnerError as error:
        return error.code
    assert isinstance(result, RunResult)
    return "a result"


# --- while the daemon is slow, or does not answer ---------------------------------------------------------------------


async def cancel_when(operation: str, script: dict[str, Answer]) -> list[str]:
    """Cancel a run as soon as the daemon was asked for this; all that was asked, in order."""
    async with fake_daemon(script) as daemon, DockerRunner(host=daemon.host) as runner:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(runner.run, FAKE)
                while not daemon.requests(operation):
                    await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert scope.cancelled_caught
        return [request.operation for request in daemon.requests_seen]


async def test_before_anything_was_sent() -> None:
    async with fake_daemon() as daemon, DockerRunner(host=daemon.host) as runner:
        with trio.CancelScope() as scope:
            scope.cancel()
            await runner.run(FAKE)
    assert scope.cancelled_caught
    assert daemon.requests_seen == []


async def test_during_a_pull() -> None:
    async def pull(request: Request) -> None:
        await request.receive_body()
        message = b'{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"layer"}\r\n'
        await request.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(message), message)
        )
        await trio.sleep_forever()

    for answer in (hang, pull):
        asked = await cancel_when("image_create", {"image_inspect": NO_IMAGE, "image_create": answer})
        assert asked[-2:] == ["image_inspect", "image_create"], "nothing was made, so that nothing is removed"


@pytest.mark.parametrize("operation", ["container_attach", "container_wait", "container_start", "container_inspect"])
async def test_while_an_answer_does_not_come(operation: str) -> None:
    running = json_answer({"Id": "c", "State": {"Status": "running"}})
    asked = await cancel_when(operation, {"container_inspect": running, operation: hang})
    assert asked[-2:] == ["container_delete", "volume_delete"]


async def test_a_create_is_not_overtaken_by_its_removal() -> None:
    let_it_answer = trio.Event()

    async def create_late(request: Request) -> None:
        await let_it_answer.wait()
        await json_answer({"Id": "c" * 64}, status=201)(request)
        order.append("created")

    async def delete(request: Request) -> None:
        order.append("deleted")
        await plain(status=204)(request)

    order: list[str] = []
    script = {"container_create": create_late, "container_delete": delete}
    async with (
        fake_daemon(script) as daemon,
        DockerRunner(host=daemon.host) as runner,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(runner.run, FAKE)
        while not daemon.requests("container_create"):
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(0.2)
        assert order == []
        let_it_answer.set()
    assert order == ["created", "deleted"]


async def test_a_removal_that_hangs_ends_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lightrunner.resources.CLEANUP_TIMEOUT", 0.2)
    with caplog.at_level(logging.ERROR, logger="lightrunner"):
        asked = await cancel_when("container_start", {"container_start": hang, "container_delete": hang})
    assert asked[-1] == "container_delete"
    assert "could not be removed within 0.2 s" in caplog.text


async def test_a_removal_has_the_time_that_those_of_others_take(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr("lightrunner.resources.CLEANUP_TIMEOUT", 0.4)
    turn = trio.Lock()
    done: dict[str, bool] = {}

    async def delete_one_by_one(request: Request) -> None:
        if request.path in done:  # By a call that was given up, which goes on.
            await json_answer({"message": "?"}, status=404 if done[request.path] else 409)(request)
            return
        done[request.path] = False
        async with turn:
            await trio.sleep(0.1)
        done[request.path] = True
        await proceed(request)

    script = {"container_inspect": hang, "container_delete": delete_one_by_one}
    async with FakeEngine(script=script) as daemon, DockerRunner(connect=daemon.connect) as runner:
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(runner.run, FAKE)
            while len(daemon.requests("container_inspect")) < 12:
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert len(daemon.requests("volume_delete")) == 12
    assert not caplog.records
    assert autojump_clock.current_time() >= 12 * 0.1
