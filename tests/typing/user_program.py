"""A user's program, which is only type-checked: what each public name takes and returns.

`./dev check` checks it with the sources; `tests/packaging` checks it with the installed wheel, under both checkers.
"""

from collections.abc import Iterator
from typing import assert_type

import trio

import lightrunner.asyncio
from lightrunner import (
    DockerRunner,
    Execution,
    ExposedPort,
    ExtractResult,
    ExtractSpec,
    LightRunnerError,
    LightRunnerErrorCode,
    LogLine,
    MapItem,
    MapProgress,
    MapResults,
    Outcome,
    OutputChunk,
    Progress,
    ReapResult,
    RunnerOptions,
    RunRequest,
    RunResult,
    RunState,
    Sandbox,
    SandboxPool,
    SandboxProcess,
    Timings,
    WarmPool,
    list_states,
    map_sync,
    run_sync,
)

request = RunRequest(
    image="python:3.12-alpine",
    entrypoint="python main.py",
    dir="./my-project",
    input={"task": "compute", "n": 20},
    timeout=None,
    env={"A": "1"},
    extract=[ExtractSpec("/app/result.json", "./out")],
)


def on_log(line: LogLine) -> None:
    assert_type(line.text, str)
    assert_type(line.partial, bool)


async def on_output(chunk: OutputChunk) -> None:
    assert_type(chunk.data, bytes)


def on_progress(progress: Progress) -> None:
    assert_type(progress.current, int | None)


def values(result: RunResult, error: LightRunnerError) -> None:
    assert_type(result.exit_code, int)
    assert_type(result.outcome, Outcome)
    assert_type(result.extracted, tuple[ExtractResult, ...] | None)
    assert_type(result.stdout, bytes | None)
    assert_type(result.timings, Timings)
    assert_type(result.check(), RunResult)
    assert_type(error.code, LightRunnerErrorCode)
    assert_type(error.to_dict(), dict[str, str | None])


async def trio_program() -> None:
    async with DockerRunner(memory="512m", cpus=1.5, max_concurrent=trio.CapacityLimiter(4)) as runner:
        assert_type(runner, DockerRunner)
        assert_type(runner.options, RunnerOptions)
        assert_type(await runner.run(request, on_log=on_log, on_output=on_output, on_progress=on_progress), RunResult)
        async with trio.open_nursery() as nursery:
            execution: Execution = await nursery.start(runner.run, request)
            assert_type(await execution.wait(), RunResult)
            assert_type(execution.cancelled, bool)
        run_id = await runner.detach(request)
        assert_type(run_id, str)
        assert_type(await runner.attach(run_id), RunResult)
        assert_type(await runner.list(), list[RunState])
        assert_type(await runner.reap_orphans(dry_run=True), ReapResult)
        async with runner.warm(request, size=2) as pool, runner.prepared_networks(2):
            assert_type(pool, WarmPool)
            assert_type(await pool.run(request), RunResult)
        async with runner.sandbox(request) as box, trio.open_nursery() as nursery:
            assert_type(box, Sandbox)
            assert_type(await box.exec(["python", "main.py"], input=[1], on_log=on_log), RunResult)
            process: SandboxProcess = await nursery.start(box.start, "cat")
            assert_type(await process.stdout.receive_some(), bytes)
            assert_type(await process.wait(), RunResult)
            assert_type(await box.read("main.py"), bytes)
            assert_type(await box.download("out", "./out"), ExtractResult)
            assert_type(await box.expose(8000), ExposedPort)
            assert_type(await box.snapshot("prepared"), str)
        async with runner.warm_sandboxes(request, size=2) as boxes, boxes.sandbox() as warm_box:
            assert_type(boxes, SandboxPool)
            assert_type(warm_box, Sandbox)
        async with runner.map([request], ordered=True) as results:
            assert_type(results, MapResults)
            assert_type(results.progress, MapProgress)
            async for item in results:
                assert_type(item, MapItem)
                assert_type(item.unwrap(), RunResult)


async def asyncio_program() -> None:
    async with lightrunner.asyncio.DockerRunner(memory="512m", max_concurrent=4) as runner:
        assert_type(runner, lightrunner.asyncio.DockerRunner)
        assert_type(await runner.run(request, on_log=on_log, on_output=on_output), RunResult)
        execution = await runner.start(request)
        assert_type(execution, lightrunner.asyncio.Execution)
        assert_type(await execution.wait(), RunResult)
        async with runner.warm(request) as pool:
            assert_type(pool, lightrunner.asyncio.WarmPool)
        async with runner.sandbox(request, expose=[8000], on_progress=on_progress) as box:
            assert_type(box, lightrunner.asyncio.Sandbox)
            assert_type(box.exposed, dict[int, ExposedPort])
            assert_type(await box.exec("python main.py", on_output=on_output), RunResult)
            async with await box.start("cat", terminal=(24, 80)) as process:
                assert_type(process, lightrunner.asyncio.SandboxProcess)
                await process.stdin.write(b"1")
                assert_type([part async for part in process.stdout], list[bytes])
                assert_type(process.stderr, lightrunner.asyncio.ProcessOutput | None)
                assert_type(await process.stdout.read(100), bytes)
                assert_type(process.exit_code, int | None)
            assert_type(await box.read("main.py"), bytes)
        async with runner.warm_sandboxes(request) as boxes, boxes.sandbox() as warm_box:
            assert_type(boxes, lightrunner.asyncio.SandboxPool)
            assert_type(warm_box, lightrunner.asyncio.Sandbox)
        async with runner.map([request]) as results:
            assert_type(results, lightrunner.asyncio.MapResults)
            assert_type([item async for item in results], list[MapItem])


def script() -> None:
    assert_type(run_sync(request, memory="256m", on_log=on_log), RunResult)
    assert_type(list_states(), list[RunState])
    with map_sync([request], max_in_flight=2, host="unix:///var/run/docker.sock") as results:
        assert_type(results, Iterator[MapItem])


def mistakes() -> None:
    RunRequest(imag="busybox")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DockerRunner(memroy="1g")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    run_sync(request, cpus=[1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
