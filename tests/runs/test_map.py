"""Many requests through `DockerRunner.map`: on a real engine what touches containers, else over a scripted `run`."""

import asyncio
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import lightrunner.asyncio
from lightrunner import (
    DockerRunner,
    LightRunnerError,
    LightRunnerErrorCode,
    MapItem,
    RunRequest,
    RunResult,
    map_sync,
)
from lightrunner.engine import EngineResponseError
from lightrunner.runs.mapping import MapPlan, check_map, is_daemons_failure, open_map
from tests.aio.programs import run_program
from tests.runs.shell_runs import shell
from tools.raw_engine import RawEngine

REQUEST = RunRequest(image="image")
DONE = RunResult(success=True, exit_code=0, duration=0.0)
LOST = LightRunnerError(LightRunnerErrorCode.DOCKER_UNREACHABLE, "lost")


class ScriptedRuns:
    """In place of `DockerRunner.run`: notes how many runs there are at a time; request n takes ``seconds(n)``."""

    def __init__(self, seconds: Callable[[int], float] = lambda _: 1.0) -> None:
        self.running = 0
        self.most = 0
        self.begun = 0
        self._seconds = seconds

    async def __call__(self, request: RunRequest) -> RunResult:
        """Run it."""
        self.begun += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await trio.sleep(self._seconds(int(request.image)))
        finally:
            self.running -= 1
        return DONE


def numbered(count: int) -> list[RunRequest]:
    return [RunRequest(image=str(number)) for number in range(count)]


def plan(max_in_flight: int = 8, *, ordered: bool = False, retries: int = 0) -> MapPlan:
    return MapPlan(max_in_flight, ordered, retries)


@given(
    delays=st.lists(st.sampled_from([0.0, 0.1, 0.2, 1.0, 5.0]), max_size=12),
    max_in_flight=st.integers(1, 5),
    ordered=st.booleans(),
)
def test_each_request_has_one_item_within_the_bound(delays: list[float], max_in_flight: int, ordered: bool) -> None:  # noqa: FBT001
    runs = ScriptedRuns(lambda number: delays[number])

    async def main() -> list[int]:
        async with open_map(runs, numbered(len(delays)), plan(max_in_flight, ordered=ordered)) as results:
            indices = [item.index async for item in results]
            assert results.progress.taken == results.progress.finished == len(delays)
            assert results.progress.exhausted
            return indices

    indices = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert sorted(indices) == [*range(len(delays))]
    assert runs.most <= max_in_flight
    if ordered:
        assert indices == sorted(indices)


async def test_requests_are_taken_as_there_is_room(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    runs = ScriptedRuns()
    async with open_map(runs, (RunRequest(image=str(n)) for n in itertools.count()), plan(3)) as results:
        await trio.sleep(100)
        assert (results.progress.taken, runs.begun) == (3, 3), "nobody receives, so nothing follows"
        items = [await anext(results) for _ in range(5)]
        assert len(items) == 5
        await trio.sleep(100)
        assert runs.begun == 8
    assert runs.running == 0


async def test_an_async_iterable(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock

    async def later() -> AsyncGenerator[RunRequest]:
        for request in numbered(4):
            await trio.sleep(10)
            yield request

    async with open_map(ScriptedRuns(), later(), plan()) as results:
        assert [item.index async for item in results] == [0, 1, 2, 3]


def failing(iterable_fails: bool) -> Iterator[RunRequest]:  # noqa: FBT001
    yield RunRequest(image="0")
    if iterable_fails:
        raise ZeroDivisionError
    yield "request"  # type: ignore[misc]  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize(("iterable_fails", "error"), [(True, ZeroDivisionError), (False, TypeError)])
async def test_what_the_iterable_does_wrong_comes_out_bare(iterable_fails: bool, error: type[Exception]) -> None:  # noqa: FBT001
    runs = ScriptedRuns(lambda _: 60)
    with pytest.raises(error):
        async with open_map(runs, failing(iterable_fails), plan()) as results:
            assert [item async for item in results] == []
    assert runs.running == 0


@pytest.mark.parametrize("leave", ["break", "raise"])
async def test_leaving_early_aborts_what_is_in_flight(leave: str) -> None:
    runs = ScriptedRuns(lambda number: 60.0 * number + 0.01)
    with pytest.raises(ZeroDivisionError) if leave == "raise" else trio.CancelScope():
        async with open_map(runs, numbered(6), plan()) as results:
            async for _ in results:
                if leave == "raise":
                    raise ZeroDivisionError
                break
    assert (runs.begun, runs.running) == (6, 0)


async def attempts(errors: list[LightRunnerError], *, retries: int) -> MapItem:
    async def run(_: RunRequest) -> RunResult:
        if errors:
            raise errors.pop(0)
        return DONE

    async with open_map(run, [REQUEST], plan(retries=retries)) as results:
        return await anext(results)


async def test_retries(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    item = await attempts([LOST, LOST], retries=2)
    assert (item.result, item.error, item.attempts) == (DONE, None, 3)
    item = await attempts([LOST, LOST], retries=1)
    assert (item.result, item.error, item.attempts) == (None, LOST, 2)
    with pytest.raises(LightRunnerError, match="lost"):
        item.unwrap()
    invalid = LightRunnerError(LightRunnerErrorCode.INVALID_REQUEST, "no")
    assert (await attempts([invalid], retries=9)).attempts == 1


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("DOCKER_UNREACHABLE", None, True),
        ("RUN_FAILED", 500, True),
        ("CONTAINER_START_FAILED", 500, True),
        ("CONTAINER_START_FAILED", 400, False),
        ("CONTAINER_START_FAILED", None, False),
        ("IMAGE_PULL_FAILED", 404, False),
        ("IMAGE_PULL_FAILED", 503, True),
        ("BUILD_FAILED", 500, False),
        ("SEED_FAILED", 500, False),
        ("RUN_ABORTED", None, False),
    ],
)
def test_only_the_daemons_failures_are_repeated(code: str, status: int | None, expected: bool) -> None:  # noqa: FBT001
    error = LightRunnerError(LightRunnerErrorCode(code), "message")
    if status is not None:
        error.__cause__ = EngineResponseError("operation", status, "message")
    assert is_daemons_failure(error) == expected


@pytest.mark.parametrize(
    "bad", [{"max_in_flight": 0}, {"max_in_flight": True}, {"ordered": 1}, {"retries": -1}, {"retries": 0.5}]
)
async def test_bad_arguments_are_named(bad: dict[str, object]) -> None:
    async with DockerRunner(host="unix:///nowhere.sock") as runner:
        with pytest.raises(LightRunnerError, match=f"{next(iter(bad))}=") as raised:
            async with runner.map([], **bad):  # type: ignore[arg-type]
                pass
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert check_map(1, False, 0) == plan(1)


# --- on an engine -----------------------------------------------------------------------------------------------------


def mixed(busybox: str) -> list[RunRequest]:
    good = [shell(busybox, f"exit {number}") for number in range(5)]
    return [*good, shell(busybox, "true", timeout=0), shell(busybox, "true", network="no-such-network")]


def told(items: list[MapItem]) -> list[object]:
    return [item.error.code.value if item.error else item.unwrap().exit_code for item in items]


TOLD = [0, 1, 2, 3, 4, "INVALID_REQUEST", "CONTAINER_START_FAILED"]


@pytest.mark.usefixtures("daemon_clean")
async def test_a_map(engine_host: str, busybox: str) -> None:
    async with (
        DockerRunner(host=engine_host) as runner,
        runner.map(mixed(busybox), max_in_flight=4, ordered=True) as results,
    ):
        assert told([item async for item in results]) == TOLD
        assert (results.progress.finished, results.progress.failed) == (7, 2)


@pytest.mark.usefixtures("daemon_clean")
async def test_a_map_cancelled_leaves_nothing(engine_host: str, busybox: str, raw: RawEngine) -> None:
    before = {container["Id"] for container in raw.containers()}
    endless = (shell(busybox, "sleep 60") for _ in itertools.count())
    async with DockerRunner(host=engine_host) as runner:
        with trio.move_on_after(1.5):
            async with runner.map(endless, max_in_flight=3) as results:
                await anext(results)
        assert {container["Id"] for container in raw.containers()} == before


@pytest.mark.usefixtures("daemon_clean")
def test_a_map_for_asyncio(engine_host: str, busybox: str) -> None:
    loops: list[object] = []

    async def requests() -> AsyncGenerator[RunRequest]:
        for request in mixed(busybox):
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(0)
            yield request

    async def main() -> None:
        async with lightrunner.asyncio.DockerRunner(host=engine_host) as runner:
            async with runner.map(requests(), ordered=True) as results:
                assert told([item async for item in results]) == TOLD
                assert results.progress.failed == 2
            assert loops == [asyncio.get_running_loop()] * 7
            with pytest.raises(ZeroDivisionError):
                async with runner.map(failing(iterable_fails=True)) as results:
                    assert [item async for item in results] == []
            async with runner.map(shell(busybox, "sleep 60") for _ in itertools.count()) as results:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(results), 0.5)

    run_program(main())


@pytest.mark.usefixtures("daemon_clean")
def test_a_map_for_scripts(engine_host: str, busybox: str) -> None:
    with map_sync(mixed(busybox), ordered=True, host=engine_host, memory="64m") as results:
        assert told([*results]) == TOLD
    with map_sync((shell(busybox, f"sleep {n}") for n in itertools.count()), host=engine_host) as results:
        assert next(results).index == 0
    with pytest.raises(ZeroDivisionError), map_sync(failing(iterable_fails=True), host=engine_host) as results:
        list(results)
    with pytest.raises(LightRunnerError, match="memory"), map_sync([], memory="lots"):
        pass
    with pytest.raises(LightRunnerError, match="retries"), map_sync([], host=engine_host, retries=-1):
        pass


PROGRAM = """
import sys
from lightrunner import RunRequest, map_sync

host, image = sys.argv[1:]
requests = [RunRequest(image=image, entrypoint=script, network="none") for script in ("true", "sleep 60", "sleep 60")]
with map_sync(requests, host=host) as results:
    for item in results:
        print("item", flush=True)
"""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, {130, -signal.SIGINT}), (signal.SIGTERM, {143})])
def test_signals_to_a_map_for_scripts(
    daemon_clean: RawEngine, engine_host: str, busybox: str, sent: signal.Signals, status: set[int]
) -> None:
    daemon_clean.ping()
    command = [sys.executable, "-c", PROGRAM, engine_host, busybox]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "item\n"
        running.send_signal(sent)
        time.sleep(0.05)
        running.send_signal(sent)
        _, said = running.communicate(timeout=60)
    assert running.returncode in status, said
