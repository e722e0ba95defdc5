"""However a process ends, the result has its exit code, and only 0 is a success."""

import pytest

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode
from tests.runs.shell_runs import Run, shell


@pytest.mark.parametrize("code", [0, 1, 2, 126, 127, 137, 139, 255])
async def test_the_exit_code_is_the_process_own(run: Run, busybox: str, code: int) -> None:
    result = await run(shell(busybox, f"exit {code}"))
    assert (result.exit_code, result.success) == (code, code == 0)
    assert (result.cancelled, result.timed_out, result.oom_killed) == (False, False, False)


@pytest.mark.parametrize(("signal", "code"), [("SEGV", 139), ("KILL", 137), ("TERM", 143), ("ABRT", 134)])
async def test_a_signal_is_128_and_its_number(runner: DockerRunner, busybox: str, signal: str, code: int) -> None:
    # PID 1 ignores what it sends itself, so that a child gets the signal; the shell passes its status on.
    result = await runner.run(shell(busybox, f"sh -c 'kill -{signal} $$'; exit $?"))
    assert (result.exit_code, result.success, result.oom_killed) == (code, False, False)


async def test_the_process_itself_ends_by_a_segmentation_fault(runner: DockerRunner, python_image: str) -> None:
    crash = "exec python -c 'import ctypes; ctypes.string_at(0)'"
    assert (await runner.run(shell(python_image, crash))).exit_code == 139


async def test_check_returns_a_success_and_raises_for_anything_else(runner: DockerRunner, busybox: str) -> None:
    success = await runner.run(shell(busybox, "true"))
    assert success.check() is success
    failure = await runner.run(shell(busybox, "exit 3"))
    with pytest.raises(LightRunnerError, match="exited with code 3 after") as raised:
        failure.check()
    assert raised.value.code is LightRunnerErrorCode.RUN_UNSUCCESSFUL
