"""Sandboxes of asyncio programs: commands, processes, files, and what a cancellation leaves."""

import asyncio
import contextvars
import gc
import signal
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lightrunner.asyncio import (
    LightRunnerError,
    LightRunnerErrorCode,
    LogLine,
    OutputChunk,
    RunRequest,
    Sandbox,
    SandboxProcess,
)
from tests.aio.conftest import MakeRunner
from tests.aio.programs import PATIENCE, container_ids, run_program
from tools.raw_engine import RawEngine

FAMILY = "(setsid sleep 100 &); (sleep 100 & sleep 100 &); echo up; sleep 100"
"""A command that starts processes which outlive their parents."""

WithBox = Callable[[Callable[[Sandbox], Awaitable[None]]], None]


@pytest.fixture
def in_box(make_runner: MakeRunner, busybox: str) -> WithBox:
    """Run a program with a sandbox."""

    def run(program: Callable[[Sandbox], Awaitable[None]]) -> None:
        async def main() -> None:
            async with make_runner() as runner, runner.sandbox(RunRequest(image=busybox, network="none")) as box:
                await program(box)

        run_program(main())

    return run


async def sleepers(box: Sandbox) -> int:
    result = await box.exec("ps | grep -c '[s]leep 100'")
    return int(result.stdout or b"0")


async def exec_ready(box: Sandbox, command: str) -> asyncio.Task[object]:
    """Start a command in a task, and wait for its first line."""
    ready = asyncio.Event()
    task: asyncio.Task[object] = asyncio.create_task(box.exec(command, on_log=lambda _: ready.set()))
    await ready.wait()
    return task


def test_commands_and_callbacks_in_the_loop(in_box: WithBox) -> None:
    name = contextvars.ContextVar[str]("name")
    seen: list[tuple[str, str, threading.Thread]] = []

    async def see(line: LogLine) -> None:
        await asyncio.sleep(0)
        seen.append((name.get(), line.text, threading.current_thread()))

    def see_chunk(chunk: OutputChunk) -> None:
        seen.append((name.get(), chunk.stream, threading.current_thread()))

    async def program(box: Sandbox) -> None:
        name.set("mine")
        result = await box.exec(
            "read x; echo $x $A; pwd; exit 3", input=b"one\n", env={"A": "2"}, workdir="/bin", on_log=see
        )
        assert (result.exit_code, result.stdout) == (3, b"one 2\n/bin\n")
        await box.exec(["echo", "err"], on_output=see_chunk, capture_output=False)
        both = await asyncio.gather(box.exec("echo 1"), box.exec("sleep 100", timeout=0.2))
        assert (both[0].stdout, both[1].timed_out) == (b"1\n", True)

    in_box(program)
    here = threading.current_thread()
    assert seen == [("mine", "one 2", here), ("mine", "/bin", here), ("mine", "stdout", here)]


def test_a_callback_that_raises_ends_its_command_alone(in_box: WithBox) -> None:
    def fail(_: LogLine) -> None:
        raise ZeroDivisionError

    async def program(box: Sandbox) -> None:
        with pytest.raises(ZeroDivisionError):
            await box.exec(FAMILY, on_log=fail)
        assert await sleepers(box) == 0

    in_box(program)


async def by_cancel(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_many_cancels(task: asyncio.Task[object]) -> None:
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.001)
    assert task.cancelled()


async def by_wait_for(task: asyncio.Task[object]) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0.01)


def test_a_cancelled_command_has_left_no_process_when_its_task_knows(in_box: WithBox) -> None:
    async def program(box: Sandbox) -> None:
        other = await exec_ready(box, "echo up; sleep 77")
        for cancel in (by_cancel, by_many_cancels, by_wait_for):
            task = await exec_ready(box, FAMILY)
            assert await sleepers(box) == 4
            await cancel(task)
            assert await sleepers(box) == 0, cancel
        assert not other.done()  # Nobody else's command is touched.
        await by_cancel(other)

    in_box(program)


def test_files_and_a_snapshot(make_runner: MakeRunner, busybox: str, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a").write_text("A")
    (folder / "b.pyc").write_text("B")

    async def main() -> None:
        async with make_runner() as runner, runner.sandbox(RunRequest(image=busybox, network="none")) as box:
            await box.upload(folder, "in", ignore=["*.pyc"])
            await box.write("in/sub/c", b"C" * 300_000)
            assert (await box.exec("cd in; find . -type f | sort; wc -c <sub/c")).stdout == b"./a\n./sub/c\n300000\n"
            assert await box.read("in/a") == b"A"
            with pytest.raises(LightRunnerError, match="nowhere: No such file"):
                await box.read("nowhere")
            assert (await box.download("in", tmp_path / "out")).status == "ok"
            reference = await box.snapshot("of-asyncio")
            try:
                async with runner.sandbox(RunRequest(image=reference, network="none")) as fork:
                    assert await fork.read("in/a") == b"A"
            finally:
                await runner.cleanup_orphan_cache(0)

    run_program(main())
    assert (tmp_path / "out" / "sub" / "c").read_bytes() == b"C" * 300_000


def test_a_conversation(in_box: WithBox) -> None:
    async def program(box: Sandbox) -> None:
        async with await box.start("while read x; do echo $((x * x)); done; echo end >&2; exit 5") as process:
            assert (process.exit_code, process.pid > 1) == (None, True)
            for number in range(10):
                await process.stdin.write(b"%d\n" % number)
                assert await process.stdout.read(100) == b"%d\n" % number**2
            await process.stdin.close()
            assert process.stderr is not None
            assert [part async for part in process.stdout] == []
            assert await process.stderr.read() == b"end\n"
            assert (await process.wait()).exit_code == process.exit_code == 5
            with pytest.raises(BrokenPipeError):
                await process.stdin.write(b"more")
        terminal = await box.start("stty size; read x; stty size; cat", terminal=(30, 100))
        assert terminal.stderr is None
        assert await terminal.stdout.read(6) == b"30 100"
        await terminal.resize(10, 20)
        await terminal.stdin.write(b"x\n")
        seen = b""
        while b"10 20" not in seen:
            seen += await terminal.stdout.read(1000)
        await terminal.kill()
        assert (await terminal.wait()).cancelled

    in_box(program)


def test_a_read_that_times_out_again_and_again_loses_nothing(in_box: WithBox) -> None:
    size = 3_000_000

    async def program(box: Sandbox) -> None:
        async with await box.start(f"head -c {size} /dev/zero | tr '\\0' x; sleep 0.3; printf end") as process:
            got = b""
            timeouts = 0
            while not got.endswith(b"end"):
                try:
                    got += await asyncio.wait_for(process.stdout.read(100_000), 0.0005)
                except TimeoutError:
                    timeouts += 1
            assert (len(got), timeouts > 0) == (size + 3, True)
            assert await process.stdout.read() == b""

    in_box(program)


def test_the_end_of_a_process_block_kills_the_process(in_box: WithBox) -> None:
    async def hold(box: Sandbox, started: list[SandboxProcess]) -> None:
        async with await box.start(FAMILY) as process:
            await process.stdout.read(10)
            started.append(process)
            await asyncio.sleep(60)

    async def program(box: Sandbox) -> None:
        async with await box.start(FAMILY) as process:
            await process.stdout.read(10)
        assert await sleepers(box) == 0
        assert (await process.wait()).cancelled
        started: list[SandboxProcess] = []
        task: asyncio.Task[object] = asyncio.create_task(hold(box, started))
        while not started:  # noqa: ASYNC110 - the program under test tells it this way
            await asyncio.sleep(0.01)
        await by_cancel(task)
        assert await sleepers(box) == 0
        free = await box.start("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done")
        await free.stdout.read(10)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(free.wait(), 0.1)
        await free.send_signal(signal.SIGTERM)
        assert (await free.wait()).exit_code == 9

    in_box(program)


def test_after_the_sandbox_everything_says_so(make_runner: MakeRunner, busybox: str, raw: RawEngine) -> None:
    complaints: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with make_runner() as runner:
            async with runner.sandbox(RunRequest(image=busybox, network="none")) as box:
                process = await box.start("sleep 100")
                with pytest.raises(LightRunnerError, match="no-such"):
                    await box.start(["no-such"])
            assert await container_ids(raw) == set()
            for call in (lambda: box.exec("true"), process.wait, lambda: box.read("x"), lambda: box.start("true")):
                with pytest.raises(LightRunnerError) as caught:
                    await call()
                assert caught.value.code is LightRunnerErrorCode.SANDBOX_CLOSED
            with pytest.raises(ConnectionResetError):
                await process.stdout.read(1)
            with pytest.raises(BrokenPipeError):
                await process.stdin.write(b"x")
        del process
        gc.collect()

    run_program(main())
    assert complaints == []


def test_a_cancelled_block_is_gone_with_its_container(make_runner: MakeRunner, busybox: str, raw: RawEngine) -> None:
    async def main() -> None:
        async with make_runner() as runner:
            opened = asyncio.Event()

            async def hold() -> None:
                async with runner.sandbox(RunRequest(image=busybox, network="none")):
                    opened.set()
                    await asyncio.sleep(PATIENCE)

            task: asyncio.Task[object] = asyncio.create_task(hold())
            await opened.wait()
            await by_cancel(task)
            assert await container_ids(raw) == set()

    run_program(main())


def test_warm_sandboxes_and_ports(make_runner: MakeRunner, busybox: str) -> None:
    async def main() -> None:
        request = RunRequest(image=busybox, network="none")
        async with make_runner() as runner, runner.warm_sandboxes(request, size=1) as pool:
            async with pool.sandbox(expose=[8000]) as box:
                async with await box.start(["nc", "-lp", "8000", "-e", "echo", "served"]):
                    data = b""
                    while not data:
                        reader, writer = await asyncio.open_connection(*box.exposed[8000])
                        data = await reader.read()
                        writer.close()
                    assert data == b"served\n"
                assert await box.expose(8000) == box.exposed[8000]
            async with pool.sandbox() as other:
                assert other.id != box.id
                assert (await other.exec("echo warm")).stdout == b"warm\n"

    run_program(main())
