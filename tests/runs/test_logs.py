"""`on_log` gets every line once, in order per stream, as text, whatever the container writes."""

import time
from collections.abc import Awaitable, Callable

import pytest
import trio

from lightrunner import DockerRunner, LogLine
from lightrunner.engine.frames import StreamName
from tests.runs.shell_runs import Run, shell


async def logged(run: Run, image: str, script: str, stream: StreamName = "stdout") -> list[str]:
    """The lines of one stream."""
    lines: list[LogLine] = []
    result = await run(shell(image, script, capture_output=False), on_log=lines.append)
    assert result.success
    return [line.text for line in lines if line.stream == stream]


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ("true", []),
        ("echo one; echo two", ["one", "two"]),
        (r"printf 'one\ntwo'", ["one", "two"]),
        (r"printf '\n\none\n\n\n'", ["", "", "one", "", ""]),
        (r"printf 'a\r\n\tb \n'", ["a\r", "\tb "]),
        (r"printf 'one '; sleep 0.1; printf 'line\nand '; sleep 0.1; echo another", ["one line", "and another"]),
        (r"printf '\303'; sleep 0.2; printf '\274\n\342\202'; sleep 0.2; printf '\254'", ["ü", "€"]),
        (r"printf '\377a\303\n\300\200'", ["\ufffda\ufffd", "\ufffd\ufffd"]),
        (r"printf 'nul\0\n'", ["nul\0"]),
    ],
    ids=["none", "two", "no newline", "blank", "blanks", "in pieces", "split UTF-8", "no UTF-8", "NUL"],
)
async def test_lines(run: Run, busybox: str, script: str, lines: list[str]) -> None:
    assert await logged(run, busybox, script) == lines


async def test_the_order_of_each_stream_holds(run: Run, busybox: str) -> None:
    script = "for n in $(seq 3000); do echo $n; echo $n >&2; done"
    lines: list[LogLine] = []
    await run(shell(busybox, script), on_log=lines.append)
    numbers = [str(n) for n in range(1, 3001)]
    for stream in ("stdout", "stderr"):
        assert [line.text for line in lines if line.stream == stream] == numbers
    assert not any(line.partial for line in lines)


async def test_streams_are_told_apart(run: Run, busybox: str) -> None:
    script = "printf out; printf err >&2; sleep 0.1; echo ' put'; echo ' or' >&2"
    assert await logged(run, busybox, script) == ["out put"]
    assert await logged(run, busybox, script, "stderr") == ["err or"]


async def test_lines_come_while_the_container_runs(runner: DockerRunner, busybox: str) -> None:
    moments: list[float] = []
    script = "for n in 1 2 3 4; do echo $n; sleep 0.3; done"
    result = await runner.run(shell(busybox, script), on_log=lambda _: moments.append(time.monotonic()))
    assert len(moments) == 4
    assert moments[3] - moments[0] > 0.5
    assert result.duration > 1.1


async def test_binary_output_is_text_all_the_same_and_captured_as_it_was(runner: DockerRunner, busybox: str) -> None:
    lines: list[LogLine] = []
    result = await runner.run(shell(busybox, "head -c 3000000 /dev/urandom"), on_log=lines.append)
    assert result.stdout is not None
    assert len(result.stdout) == 3_000_000
    assert "\n".join(line.text for line in lines).rstrip("\n") == result.stdout.decode(errors="replace").rstrip("\n")


async def test_a_long_line_comes_in_pieces_marked_as_such(runner: DockerRunner, busybox: str) -> None:
    lines: list[LogLine] = []
    script = "head -c 300000 /dev/zero | tr '\\0' x; echo; echo short"
    await runner.run(shell(busybox, script), on_log=lines.append)
    *pieces, last, short = lines
    assert len(pieces) >= 4
    assert all(piece.partial and len(piece.text) <= 64 * 1024 for piece in pieces)
    assert "".join(piece.text for piece in [*pieces, last]) == "x" * 300_000
    assert (last.partial, short) == (False, LogLine("stdout", "short"))


async def test_an_async_callback_is_awaited_one_line_after_the_other(run: Run, busybox: str) -> None:
    seen: list[str] = []
    active = 0

    async def slowly(line: LogLine) -> None:
        nonlocal active
        active += 1
        assert active == 1
        await trio.sleep(0.002)
        seen.append(line.text)
        active -= 1

    await run(shell(busybox, "seq 100"), on_log=slowly)
    assert seen == [str(n) for n in range(1, 101)]


async def test_what_a_callback_returns_is_ignored(run: Run, busybox: str) -> None:
    assert (await run(shell(busybox, "echo one"), on_log=lambda line: line)).success


def sleeps_on_the_first_line(seen: list[str]) -> Callable[[LogLine], Awaitable[None]]:
    async def callback(line: LogLine) -> None:
        if not seen:
            await trio.sleep(3)  # The daemon waits for a reader for 2 s after the exit.
        seen.append(line.text)

    return callback


def blocks_a_little_on_every_line(seen: list[str]) -> Callable[[LogLine], None]:
    def callback(line: LogLine) -> None:
        if int(line.text) % 100 == 0:
            time.sleep(0.005)  # 4 s in the whole, in which nothing else of the program runs.
        seen.append(line.text)

    return callback


@pytest.mark.parametrize("make", [sleeps_on_the_first_line, blocks_a_little_on_every_line])
async def test_a_slow_callback_loses_nothing(
    runner: DockerRunner, busybox: str, make: Callable[[list[str]], Callable[[LogLine], object]]
) -> None:
    seen: list[str] = []
    await runner.run(shell(busybox, "seq 80000", capture_output=False), on_log=make(seen))
    assert seen == [str(n) for n in range(1, 80_001)]


@pytest.mark.parametrize(("quick", "most"), [(0, 1), (300, 8), (303, 8)])
async def test_between_lines_that_take_their_time_the_other_tasks_have_a_turn(
    runner: DockerRunner, busybox: str, quick: int, most: int
) -> None:
    # The reader is one of them: what it does not read within 2 s of the exit is lost. Behind `quick` lines that take no
    # time, the clock is looked at once in so many lines: behind 303 of them, just before the first slow one.
    turns, seen = 0, list[int]()

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    def block(line: LogLine) -> None:
        if int(line.text) > quick:
            seen.append(turns)
            time.sleep(0.011)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        await runner.run(shell(busybox, f"seq {quick + 40}", capture_output=False), on_log=block)
        nursery.cancel_scope.cancel()
    assert len(seen) == 40
    # trio runs what is due in any order: twice in a row the callback may come first.
    assert max(seen.count(turn) for turn in seen) <= most + 1


async def test_a_container_that_writes_too_much_for_a_slow_callback_has_to_wait(
    runner: DockerRunner, busybox: str
) -> None:
    # 30 MB, of which 8 MiB are held; it cannot end before the callback goes on.
    count = 0

    async def stall(_: LogLine) -> None:
        nonlocal count
        count += 1
        if count == 1:
            await trio.sleep(2.5)

    script = "yes 0123456789012345678901234567890123456789012345678 | head -n 600000"
    result = await runner.run(shell(busybox, script, capture_output=False), on_log=stall)
    assert count == 600_000
    assert result.duration > 2.4
