"""The contract: results, exit codes, environment, and what a request cannot have."""

import pytest

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, LogLine, RunRequest
from lightrunner.testing import FakeContainer
from tests.contract.places import Place
from tests.contract.programs import nothing, prints
from tests.runs.shell_runs import Run


async def test_success(place: Place, run: Run) -> None:
    result = await run(place.request("true", nothing))
    assert (result.success, result.exit_code) == (True, 0)
    assert (result.cancelled, result.timed_out, result.oom_killed) == (False, False, False)
    assert result.stdout is None
    assert result.extracted is None
    assert result.check() is result


@pytest.mark.parametrize("code", [1, 77, 255])
async def test_an_exit_code_is_a_result(place: Place, run: Run, code: int) -> None:
    result = await run(place.request(f"exit {code}", prints(code=code)))
    assert (result.success, result.exit_code, result.cancelled, result.timed_out) == (False, code, False, False)
    with pytest.raises(LightRunnerError) as raised:
        result.check()
    assert raised.value.code is LightRunnerErrorCode.RUN_UNSUCCESSFUL


async def test_captured_output(place: Place, run: Run) -> None:
    result = await run(place.request("echo out; echo err >&2", prints(b"out\n", b"err\n"), capture_output=True))
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")
    assert (result.stdout_truncated, result.stderr_truncated) == (False, False)


async def test_output_without_a_newline_at_its_end(place: Place, run: Run) -> None:
    lines = list[LogLine]()
    request = place.request("printf 'a\\n\\nb'", prints(b"a\n\nb"), capture_output=True)
    result = await run(request, on_log=lines.append)
    assert [line.text for line in lines] == ["a", "", "b"]
    assert result.stdout == b"a\n\nb"


async def test_the_environment(place: Place, run: Run) -> None:
    async def program(container: FakeContainer) -> None:
        await container.stdout(f"{container.env['A']}|{container.env['PATH_LIKE']}".encode())

    env = {"A": "it's\n$HOME", "PATH_LIKE": "a:b=c"}
    result = await run(place.request('printf "%s|%s" "$A" "$PATH_LIKE"', program, env=env, capture_output=True))
    assert result.stdout == b"it's\n$HOME|a:b=c"


async def test_the_workdir(place: Place, run: Run) -> None:
    async def program(container: FakeContainer) -> None:
        await container.stdout(container.workdir.encode())

    result = await run(place.request('printf "$PWD"', program, workdir="/srv/work", capture_output=True))
    assert result.stdout == b"/srv/work"


async def test_durations_and_timings(place: Place, run: Run) -> None:
    result = await run(place.request("true", nothing))
    assert result.duration > 0
    assert result.timings.create > 0
    assert result.timings.start > 0
    assert result.timings.cleanup > 0
    assert result.timings.extract < result.timings.run


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"image": "no such:image"}, "image"),
        ({"image": "a:1", "timeout": -1.0}, "timeout"),
        ({"image": "a:1", "network": "host"}, "network"),
        ({"image": "a:1", "workdir": "relative"}, "workdir"),
        ({"image": "a:1", "dir": "/no/such/folder"}, "dir"),
        ({"image": "a:1", "input": {1, 2}}, "input"),
    ],
)
async def test_bad_input_is_told_before_anything_is_made(
    place: Place, run: Run, fields: dict[str, object], name: str
) -> None:
    with pytest.raises(LightRunnerError, match=name) as raised:
        await run(RunRequest(**fields))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert not place.left()


@pytest.mark.needs("runtime")
async def test_a_missing_runtime(place: Place) -> None:
    async with place.runner(runtime="no-such-runtime") as runner:
        with pytest.raises(LightRunnerError, match="no-such-runtime") as raised:
            await runner.run(place.request("true", nothing))
    assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED


async def test_the_daemon_answers(runner: DockerRunner) -> None:
    assert await runner.is_available()
