"""A callback's exception ends the run and propagates bare, and nothing of the run is left."""

import time
from collections.abc import Callable

import pytest
import trio

from lightrunner import DockerRunner, LogLine
from lightrunner.results import LogCallback
from tests.runs.shell_runs import Run, shell

Raise = Callable[[Exception], LogCallback]


def sync(error: Exception) -> LogCallback:
    def callback(_: LogLine) -> None:
        raise error

    return callback


def asynchronous(error: Exception) -> LogCallback:
    async def callback(_: LogLine) -> None:
        await trio.sleep(0.05)
        raise error

    return callback


@pytest.mark.parametrize("raiser", [sync, asynchronous])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("of the callback"),
        TimeoutError("as the library's own might look"),
        trio.EndOfChannel(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_it_comes_out_as_it_is(run: Run, busybox: str, raiser: Raise, error: Exception) -> None:
    begin = time.monotonic()
    with pytest.raises(type(error)) as raised:
        await run(shell(busybox, "echo one; echo two; sleep 60"), on_log=raiser(error))
    assert raised.value is error
    assert time.monotonic() - begin < 30, "the container was not waited for"


async def test_a_group_is_not_wrapped_nor_unpacked(run: Run, busybox: str) -> None:
    inner = ExceptionGroup("inner", [OSError("two")])
    group = ExceptionGroup("of the callback", [KeyError("one"), inner])
    with pytest.raises(ExceptionGroup) as raised:
        await run(shell(busybox, "echo one; sleep 60"), on_log=sync(group))
    # Not `is`: a cancel scope of trio's that an exception group passes builds it anew.
    assert repr(raised.value) == repr(group)


async def test_it_does_so_after_the_exit_as_well(run: Run, busybox: str) -> None:
    error = ValueError("of the last line")

    async def raise_late(_: LogLine) -> None:
        await trio.sleep(1)
        raise error

    with pytest.raises(ValueError, match="last line") as raised:
        await run(shell(busybox, "printf last"), on_log=raise_late)
    assert raised.value is error


async def test_no_line_follows(run: Run, busybox: str) -> None:
    lines: list[LogLine] = []

    def second_raises(line: LogLine) -> None:
        lines.append(line)
        if len(lines) == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(shell(busybox, "seq 100000"), on_log=second_raises)
    assert [line.text for line in lines] == ["1", "2"]


async def test_the_runner_goes_on(runner: DockerRunner, busybox: str) -> None:
    with pytest.raises(ValueError, match="once"):
        await runner.run(shell(busybox, "echo one; sleep 60"), on_log=sync(ValueError("once")))
    assert (await runner.run(shell(busybox, "echo two"))).stdout == b"two\n"
