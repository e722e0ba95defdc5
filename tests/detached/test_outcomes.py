"""The outcome of a detached run: whoever attaches, whenever, gets the same one."""

from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, Outcome, OutputChunk, RunLimits
from tests.detached.detached_runs import attach, exited, script
from tests.runs.test_limits import HOG
from tools.raw_engine import RawEngine


@pytest.mark.parametrize(
    ("text", "fields", "outcome", "signal", "code"),
    [
        ("exit 0", {}, Outcome.EXITED, None, 0),
        ("exit 137", {}, Outcome.EXITED, None, 137),
        ("sleep 60", {"timeout": 0.5}, Outcome.TIMED_OUT, 9, 137),
        (f"exec {HOG}", {}, Outcome.OUT_OF_MEMORY, 9, 137),
    ],
)
async def test_each_attach_has_the_same(
    engine_host: str,
    busybox: str,
    state_dir: Path,  # noqa: ARG001
    *,
    text: str,
    fields: dict[str, float],
    outcome: Outcome,
    signal: int | None,
    code: int,
) -> None:
    async with DockerRunner(host=engine_host, memory="32m") as runner:
        run_id = await runner.detach(script(busybox, text, **fields))
        result = await runner.attach(run_id)
        assert (result.outcome, result.signal, result.exit_code) == (outcome, signal, code)
        assert (result.success, result.timed_out) == (code == 0, outcome is Outcome.TIMED_OUT)
        assert result.limits == RunLimits(timeout=fields.get("timeout", 1200.0), memory=32 * 1024**2)
        assert await runner.attach(run_id) == result


async def test_a_stop_and_a_cancellation_are_told_apart(runner: DockerRunner, busybox: str) -> None:
    for outcome in (Outcome.STOPPED, Outcome.CANCELLED):
        run_id = await runner.detach(script(busybox, "sleep 60"))
        async with trio.open_nursery() as nursery:
            execution = await attach(nursery, runner, run_id)
            if outcome is Outcome.STOPPED:
                await execution.stop(grace=0.1)
            else:
                execution.cancel()
            result = await execution.wait()
        assert (result.outcome, result.signal, result.cancelled) == (outcome, 9, True)
        assert (await runner.attach(run_id)).outcome is outcome


async def test_a_kill_by_another_client_is_kept(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    run_id = await runner.detach(script(busybox, "sleep 60"))
    raw.request("POST", f"/containers/light-runner-{run_id}/kill")
    await exited(raw, run_id)
    result = await runner.attach(run_id)
    assert (result.outcome, result.signal) == (Outcome.SIGNALED, 9)
    assert await runner.attach(run_id) == result


async def test_raw_output_from_the_start(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    run_id = await runner.detach(script(busybox, "echo one; sleep 0.1; echo two >&2"))
    await exited(raw, run_id)
    chunks: list[OutputChunk] = []
    await runner.attach(run_id, on_output=chunks.append)
    assert [(chunk.stream, chunk.data) for chunk in chunks] == [("stdout", b"one\n"), ("stderr", b"two\n")]
