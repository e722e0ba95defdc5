"""Runs awaited from asyncio: results, errors, handles and callbacks."""

import asyncio
import contextvars
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from lightrunner.asyncio import DockerRunner, LightRunnerError, LightRunnerErrorCode, LogLine, OutputChunk, Progress
from tests.aio.conftest import MakeRunner
from tests.aio.programs import PATIENCE, run_program, start_ready
from tests.runs.shell_runs import shell

OneProgram = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run_loop(request: pytest.FixtureRequest) -> OneProgram:
    """Both event loops that asyncio programs run on."""
    run: OneProgram = request.param
    return run


def test_a_run_and_its_lines_in_order(make_runner: MakeRunner, busybox: str, run_loop: OneProgram) -> None:
    lines: list[LogLine] = []

    async def main() -> None:
        async with asyncio.timeout(PATIENCE), make_runner() as runner:
            result = await runner.run(shell(busybox, "cat; echo; seq 5000; exit 3", input=[1]), on_log=lines.append)
            assert (result.exit_code, result.stdout) == (3, b"[1]\n" + b"".join(b"%d\n" % n for n in range(1, 5001)))

    run_loop(main())
    assert [line.text for line in lines] == ["[1]", *(str(number) for number in range(1, 5001))]


def test_callbacks_run_in_the_loop_with_the_callers_context(make_runner: MakeRunner, busybox: str) -> None:
    name = contextvars.ContextVar[str]("name")
    seen: list[tuple[str, str, threading.Thread, object]] = []

    def see(line: LogLine) -> None:
        seen.append((line.text, name.get(), threading.current_thread(), asyncio.get_running_loop()))

    async def see_later(line: LogLine) -> None:
        await asyncio.sleep(0.001)
        see(line)

    async def main() -> list[object]:
        async with make_runner() as runner:
            name.set("sync")
            await runner.run(shell(busybox, "echo one"), on_log=see)
            name.set("async")
            await runner.run(shell(busybox, "echo two; echo three"), on_log=see_later)
        return [threading.current_thread(), asyncio.get_running_loop()]

    here = run_program(main())
    assert [entry[:2] for entry in seen] == [("one", "sync"), ("two", "async"), ("three", "async")]
    assert all([*entry[2:]] == here for entry in seen)


def test_a_slow_callback_loses_nothing_and_memory_stays_bounded(make_runner: MakeRunner, busybox: str) -> None:
    texts: list[str] = []

    async def slow(line: LogLine) -> None:
        if len(texts) < 20:
            await asyncio.sleep(0.05)
        texts.append(line.text)

    async def main() -> None:
        async with make_runner() as runner:
            await runner.run(shell(busybox, "seq 100000", capture_output=False), on_log=slow)

    run_program(main())
    assert texts == [str(number) for number in range(1, 100_001)]


def test_a_computing_program_loses_no_output_and_no_time_out(make_runner: MakeRunner, busybox: str) -> None:
    """While the program's own code holds up the event loop, the run is attended in its thread."""

    async def main() -> None:
        async with make_runner() as runner:
            talking = await start_ready(runner, shell(busybox, "echo; sleep 0.2; seq 50000"))
            overdue = await start_ready(runner, shell(busybox, "echo; sleep 60", timeout=0.5))
            threading.Event().wait(4)  # The daemon drops what is unread 2 s after the exit.
            result = await talking.wait()
            assert result.stdout is not None
            assert result.stdout.endswith(b"\n50000\n")
            late = await overdue.wait()
            assert late.timed_out
            assert late.duration < 3

    run_program(main())


def test_what_a_callback_raises_ends_the_run_and_tells_where(make_runner: MakeRunner, busybox: str) -> None:
    def fail_here(_: LogLine) -> None:
        raise ZeroDivisionError

    async def fail_later(_: LogLine) -> None:
        await asyncio.sleep(0)
        raise KeyError("later")

    async def main() -> None:
        async with make_runner() as runner:
            with pytest.raises(ZeroDivisionError) as raised:
                await runner.run(shell(busybox, "echo; sleep 60"), on_log=fail_here)
            frames = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
            assert frames[0] == "main"
            assert frames[-1] == "fail_here"
            assert raised.value.__context__ is None
            with pytest.raises(KeyError, match="later"):
                await runner.run(shell(busybox, "echo; sleep 60"), on_log=fail_later)
            execution = await runner.start(shell(busybox, "sleep 0.2; echo; sleep 60"), on_log=fail_here)
            with pytest.raises(ZeroDivisionError):
                await execution.wait()

    run_program(main())


def test_errors_come_out_bare(make_runner: MakeRunner, busybox: str) -> None:
    async def main() -> None:
        async with make_runner() as runner:
            for call in (runner.run, runner.start, runner.detach):
                with pytest.raises(LightRunnerError, match="timeout=0") as raised:
                    await call(shell(busybox, "true", timeout=0))
                assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
            with pytest.raises(LightRunnerError) as raised:
                await runner.run(shell(busybox, "true", network="no-such-network"))
            assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
            assert raised.value.__cause__ is not None

    run_program(main())
    with pytest.raises(LightRunnerError, match="memory"):
        make_runner(memory="lots")


def test_a_handle(make_runner: MakeRunner, busybox: str) -> None:
    async def main() -> None:
        async with make_runner() as runner:
            execution = await start_ready(
                runner, shell(busybox, "trap 'exit 7' TERM; echo; while :; do sleep 0.1; done")
            )
            await execution.pause()
            await execution.resume()
            await execution.stop(grace=30.0)
            result = await execution.wait()
            assert (result.exit_code, result.cancelled, execution.cancelled) == (7, True, True)
            assert (await execution.wait()) == result
            execution.cancel()
            killed = await start_ready(runner, shell(busybox, "echo; sleep 60"))
            killed.cancel()
            result = await killed.wait()
            assert (result.exit_code, result.cancelled) == (137, True)

    run_program(main())


def test_the_block_waits_for_what_it_has_started(make_runner: MakeRunner, busybox: str) -> None:
    async def main() -> int:
        async with make_runner() as runner:
            execution = await runner.start(shell(busybox, "sleep 0.3; exit 5"))
        return (await execution.wait()).exit_code

    assert run_program(main()) == 5


def test_outside_its_block_a_runner_refuses(make_runner: MakeRunner, busybox: str) -> None:
    async def main() -> None:
        runner = make_runner()
        with pytest.raises(RuntimeError, match="async with"):
            await runner.run(shell(busybox, "true"))
        async with runner:
            assert await runner.is_available()
        with pytest.raises(RuntimeError, match="async with"):
            await runner.start(shell(busybox, "true"))
        async with runner:
            assert (await runner.run(shell(busybox, "exit 2"))).exit_code == 2

    run_program(main())


def test_warm_pools_and_prepared_networks(make_runner: MakeRunner, busybox: str) -> None:
    async def main() -> None:
        async with make_runner() as runner:
            async with runner.warm(shell(busybox, "true"), size=1) as pool:
                lines: list[LogLine] = []
                assert (await pool.run(shell(busybox, "echo warm; exit 4"), on_log=lines.append)).exit_code == 4
                assert lines == [LogLine("stdout", "warm")]
                execution = await pool.start(shell(busybox, "sleep 60"))
                execution.cancel()
                assert (await execution.wait()).cancelled
            async with runner.prepared_networks(1, network="none"):
                assert (await runner.run(shell(busybox, "exit 6"))).exit_code == 6

    run_program(main())


def test_a_detached_run(make_runner: MakeRunner, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(tmp_path))

    async def main() -> None:
        async with make_runner() as runner:
            request = shell(busybox, "echo one; sleep 0.5; exit 9", capture_output=False)
            run_id = await runner.detach(request)
            assert [state.id for state in await runner.list()] == [run_id]
            assert run_id not in str(await runner.reap_orphans(dry_run=True))
            lines: list[str] = []
            execution = await runner.start_attach(run_id, on_log=lambda line: lines.append(line.text))
            attached = await runner.attach(run_id)
            assert attached.exit_code == (await execution.wait()).exit_code == 9
            assert lines == ["one"]
            assert await runner.cleanup_orphan_states() == 0

    run_program(main())


def test_progress_of_setup_steps(make_runner: MakeRunner, busybox: str) -> None:
    async def main() -> None:
        messages: list[Progress] = []

        async def add(message: Progress) -> None:
            await asyncio.sleep(0)
            messages.append(message)

        async with make_runner() as runner:
            request = shell(busybox, "true", run=["echo from a step"])
            tag = await runner.prepare(request, on_progress=add)
            assert tag.startswith("light-runner-cache:")
            assert "from a step" in [message.status for message in messages]
            assert tag in str(await runner.cleanup_orphan_cache(0.0))

    run_program(main())


def test_two_runners_in_one_loop(make_runner: MakeRunner, busybox: str) -> None:
    async def run(runner: DockerRunner, code: int) -> int:
        return (await runner.run(shell(busybox, f"exit {code}"))).exit_code

    async def main() -> list[int]:
        async with make_runner() as one, make_runner(max_concurrent=1) as other:
            return [*await asyncio.gather(run(one, 1), run(one, 2), run(other, 3), run(other, 4))]

    assert run_program(main()) == [1, 2, 3, 4]


def test_chunks_and_lines_in_the_order_of_the_run(make_runner: MakeRunner, busybox: str) -> None:
    seen: list[str] = []

    async def main() -> None:
        async with make_runner() as runner:
            await runner.run(
                shell(busybox, "echo one; sleep 0.2; echo two"),
                on_log=lambda line: seen.append(f"line {line.text}"),
                on_output=lambda chunk: seen.append(f"chunk {chunk.data.decode().strip()}"),
            )

    run_program(main())
    assert seen == ["chunk one", "line one", "chunk two", "line two"]


def test_stdin_is_iterated_in_the_event_loop(make_runner: MakeRunner, busybox: str) -> None:
    """Each line is sent after the answer to the one before it; at the exit the source is cancelled."""
    threads: set[int] = set()
    answers: list[bytes] = []
    ended: list[str] = []

    async def main() -> None:
        answered = asyncio.Event()

        def on_output(chunk: OutputChunk) -> None:
            answers.append(chunk.data)
            answered.set()

        async def source() -> AsyncIterator[bytes]:
            try:
                for number in range(3):
                    threads.add(threading.get_ident())
                    answered.clear()
                    yield b"%d\n" % number
                    await answered.wait()
                await asyncio.sleep(60)
            finally:
                ended.append("now")

        script = "for _ in 1 2 3; do read n; echo $((n * 2)); done"
        async with asyncio.timeout(PATIENCE), make_runner() as runner:
            assert (await runner.run(shell(busybox, script), on_output=on_output, stdin=source())).success

    asyncio.run(main())
    assert (b"".join(answers), ended, threads) == (b"0\n2\n4\n", ["now"], {threading.get_ident()})
