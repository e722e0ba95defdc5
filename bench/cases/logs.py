"""Output to a callback, line by line, compared with the CLI writing the same output to a pipe.

A reader that reads the pipe in blocks has no lines: copying 16 bytes takes a fraction of the 0.2 us or so that CPython
needs to make a line of them and to call a function with it. The fair comparison is the same pipe read line by line.
"""

import io
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bench.job import Job
from bench.programs import DockerCli
from bench.sampling import Case, Contender, Goal, Sample, timed
from bench.stage import Stage
from lightrunner import DockerRunner, LogLine, OutputChunk, RunRequest

_OUTPUT_BYTES = 200 * 10**6
_BLOCK_BYTES = 4 * 10**6
_READ_BYTES = 1 << 20


def printing(output_bytes: int, line_bytes: int) -> str:
    """A shell command that prints so many bytes as fast as a container can: ``cat`` of a file, again and again."""
    lines = _BLOCK_BYTES // line_bytes
    times = output_bytes // (lines * line_bytes)
    return f"yes {'x' * (line_bytes - 1)} | head -n {lines} > /tmp/block; cat $(yes /tmp/block | head -n {times})"


@asynccontextmanager
async def raw_output(stage: Stage) -> AsyncGenerator[Case]:
    """200 MB in chunks as they come, each one counted, beside a pipe that is read in blocks."""
    job = Job(RunRequest(image=stage.image, entrypoint=printing(_OUTPUT_BYTES, 70), network="none"))
    contenders = {"lightrunner": _ours_raw(stage.runner, job.request)}
    if (cli := stage.cli) is not None:
        contenders["docker run"] = timed(lambda: _read_pipe(cli, job))
    yield Case(
        name="output-raw",
        title=f"{_OUTPUT_BYTES // 10**6} MB of output, in chunks to a callback or in blocks from a pipe",
        contenders=contenders,
        rounds=stage.rounds(8, 1),
        goals=(Goal("lightrunner", "docker run", 1.1),),
        warm_up=not stage.quick,
    )


@asynccontextmanager
async def logs(stage: Stage, *, line_bytes: int) -> AsyncGenerator[Case]:
    """200 MB in lines of so many bytes, each one counted."""
    command = printing(_OUTPUT_BYTES, line_bytes)
    job = Job(RunRequest(image=stage.image, entrypoint=command, network="none"))
    contenders = {"lightrunner": _ours(stage.runner, job.request, line_bytes)}
    if (cli := stage.cli) is not None:
        contenders["docker run"] = timed(lambda: _read_pipe(cli, job))
        contenders["docker run, by line"] = timed(lambda: _read_lines(cli, job, line_bytes))
    yield Case(
        name=f"logs-{line_bytes}",
        title=f"{_OUTPUT_BYTES // 10**6} MB of output in lines of {line_bytes} bytes, to a callback or a pipe",
        contenders=contenders,
        rounds=stage.rounds(8, 1),
        # At least 0.9 of the CLI's throughput.
        goals=(Goal("lightrunner", "docker run", 1 / 0.9),),
        warm_up=not stage.quick,
    )


def _ours(runner: DockerRunner, request: RunRequest, line_bytes: int) -> Contender:
    async def contender() -> Sample:
        seen = 0

        def count(line: LogLine) -> None:
            nonlocal seen
            seen += len(line.text) + 1

        begin = time.perf_counter()
        result = (await runner.run(request, on_log=count)).check()
        seconds = time.perf_counter() - begin
        _check(seen, line_bytes)
        return Sample(seconds, {"start": seconds - result.timings.run, "output": result.timings.run})

    return contender


def _ours_raw(runner: DockerRunner, request: RunRequest) -> Contender:
    async def contender() -> Sample:
        seen = 0

        def count(chunk: OutputChunk) -> None:
            nonlocal seen
            seen += len(chunk.data)

        begin = time.perf_counter()
        result = (await runner.run(request, on_output=count)).check()
        seconds = time.perf_counter() - begin
        _check(seen, 1)
        return Sample(seconds, {"start": seconds - result.timings.run, "output": result.timings.run})

    return contender


def _read_pipe(cli: DockerCli, job: Job) -> None:
    seen = 0
    with cli.piped("run", "--rm", *job.cli_arguments()) as process:
        assert process.stdout is not None
        while data := os.read(process.stdout.fileno(), _READ_BYTES):
            seen += len(data)
    assert process.returncode == 0, "the CLI failed"
    _check(seen, 1)


def _read_lines(cli: DockerCli, job: Job, line_bytes: int) -> None:
    """The loop that one writes by hand."""
    seen = 0

    def count(line: str) -> None:
        nonlocal seen
        seen += len(line)

    with cli.piped("run", "--rm", *job.cli_arguments()) as process:
        assert process.stdout is not None
        for line in io.TextIOWrapper(process.stdout, encoding="utf-8", errors="replace", newline="\n"):
            count(line)
    assert process.returncode == 0, "the CLI failed"
    _check(seen, line_bytes)


def _check(seen: int, slack: int) -> None:
    assert abs(seen - _OUTPUT_BYTES) <= _BLOCK_BYTES + slack, f"{seen} bytes came"
