"""`usage`: what a run used, by the kernel's figures, and out of reach of what it measures."""

import json
from collections.abc import AsyncIterator

import pytest
import trio

from bench.usage import CPU_SLACK, MEMORY_SLACK, PROGRAM, SHARE
from lightrunner import DockerRunner, LogLine, Outcome, RunRequest, Usage
from lightrunner.rules.limits import INIT_VOLUME_PREFIX
from tests.runs.conftest import ImageVariant, MakeRunner
from tests.runs.shell_runs import shell, start_ready
from tests.runs.test_limits import CHILD_HOG, HOG
from tools.raw_engine import RawEngine

NONE = Usage(source="none")
HEX = "0123456789abcdef"


@pytest.fixture
async def measuring(make_runner: MakeRunner) -> AsyncIterator[DockerRunner]:
    """A runner that measures its runs."""
    async with make_runner(usage=True) as runner:
        yield runner


@pytest.mark.parametrize(
    ("seconds", "megabytes", "hidden"), [(0.0, 0, False), (0.2, 60, False), (0.2, 5, True), (0.02, 150, True)]
)
async def test_the_figures_are_those_of_the_program_itself(
    measuring: DockerRunner, python_image: str, *, seconds: float, megabytes: int, hidden: bool
) -> None:
    # A hidden child is one that its parent's own getrusage does not count.
    job = [seconds, megabytes, hidden]
    result = (await measuring.run(shell(python_image, f"exec python -c '{PROGRAM}'", input=job))).check()
    cpu, escaped, largest = json.loads(result.stdout or b"")
    usage = result.usage
    assert usage is not None
    assert usage.source == "init"
    assert usage.cpu_time is not None
    assert usage.peak_memory is not None
    assert abs(usage.cpu_time.total - cpu - escaped) <= CPU_SLACK + SHARE * (cpu + escaped)
    assert abs(usage.peak_memory - largest) <= MEMORY_SLACK + SHARE * largest
    assert usage.cpu_time.user + usage.cpu_time.system == pytest.approx(usage.cpu_time.total)
    assert escaped >= seconds * hidden


@pytest.mark.parametrize(
    ("script", "outcome", "signal", "code"),
    [
        ("exit 0", Outcome.EXITED, None, 0),
        ("exit 137", Outcome.EXITED, None, 137),
        ("exit 139", Outcome.EXITED, None, 139),
        ("kill -KILL $$", Outcome.SIGNALED, 9, 137),
        ("kill -TERM $$", Outcome.SIGNALED, 15, 143),
        ("kill -ABRT $$", Outcome.SIGNALED, 6, 134),
        ("sh -c 'kill -KILL $$'; exit $?", Outcome.EXITED, None, 137),
        ("no-such-program", Outcome.EXITED, None, 127),
        ("sleep 3600 & (sleep 3600 & setsid sleep 3600 &) & exit 6", Outcome.EXITED, None, 6),
        ("trap '' TERM HUP INT; kill -KILL -1; kill -KILL 1; exit 7", Outcome.EXITED, None, 7),
    ],
)
async def test_how_the_command_ended_is_told_exactly(
    measuring: DockerRunner, busybox: str, *, script: str, outcome: Outcome, signal: int | None, code: int
) -> None:
    result = await measuring.run(shell(busybox, script, timeout=60))
    assert (result.outcome, result.signal, result.exit_code) == (outcome, signal, code)
    assert result.usage is not None
    assert result.usage.source == "init"


async def test_an_oom_kill_is_the_kernel_s_own_count(make_runner: MakeRunner, busybox: str) -> None:
    async with make_runner(memory="32m", usage=True) as runner:
        killed = await runner.run(shell(busybox, f"exec {HOG}"))
        assert (killed.outcome, killed.oom_killed) == (Outcome.OUT_OF_MEMORY, True)
        assert killed.usage is not None
        assert (killed.usage.peak_memory_total or 0) > 30 * 1024**2
        survived = await runner.run(shell(busybox, f"{CHILD_HOG}; exit 137"))
        assert (survived.outcome, survived.exit_code, survived.oom_killed) == (Outcome.EXITED, 137, True)


async def test_what_is_killed_from_outside_says_nothing(measuring: DockerRunner, busybox: str) -> None:
    result = await measuring.run(shell(busybox, "echo hi >&2; sleep 60", timeout=1.0))
    assert (result.outcome, result.stderr, result.usage) == (Outcome.TIMED_OUT, b"hi\n", NONE)


async def test_a_stop_reaches_the_command(measuring: DockerRunner, busybox: str) -> None:
    async with trio.open_nursery() as nursery:
        script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"
        execution = await start_ready(nursery, measuring, shell(busybox, script))
        await execution.stop()
        result = await execution.wait()
    assert (result.outcome, result.exit_code) == (Outcome.STOPPED, 9)
    assert result.usage is not None
    assert result.usage.source == "init"


async def test_the_command_s_world_is_a_cold_run_s(runner: DockerRunner, measuring: DockerRunner, busybox: str) -> None:
    script = "env | sort; pwd; id; ulimit -a; cat; grep -E 'Sig[BIC]|Cap|NoNew' /proc/self/status; echo e >&2"
    request = shell(busybox, script, env={"A": "b c"}, input=b"typed\n", hostname="box")
    plain, measured = await runner.run(request), await measuring.run(request)
    assert plain.stdout is not None
    assert (measured.stdout, measured.stderr) == (plain.stdout, b"e\n")


async def test_without_input_stdin_is_at_its_end(measuring: DockerRunner, busybox: str) -> None:
    assert (await measuring.run(shell(busybox, "cat; echo end", timeout=30))).stdout == b"end\n"


async def test_the_image_s_own_command_and_user(
    measuring: DockerRunner, image_variant: ImageVariant, busybox: str
) -> None:
    image = image_variant("measured", 'ENTRYPOINT ["echo", "a b"]', 'CMD ["c"]', "USER app")
    result = await measuring.run(RunRequest(image=image, network="none", capture_output=True))
    assert (result.stdout, result.usage is not None and result.usage.source) == (b"a b c\n", "init")
    assert busybox


async def test_stderr_is_the_command_s_own(measuring: DockerRunner, busybox: str) -> None:
    lines: list[LogLine] = []
    script = f"for d in $(echo {HEX} | fold -w 1); do printf $d >&2; done; printf 'no newline' >&2"
    result = await measuring.run(shell(busybox, script), on_log=lines.append)
    assert result.stderr == f"{HEX}no newline".encode()
    assert [line.text for line in lines] == [f"{HEX}no newline"]


async def test_the_nonce_is_out_of_reach(measuring: DockerRunner, raw: RawEngine, busybox: str) -> None:
    script = (
        "cat /proc/1/environ /proc/1/mem /proc/1/stack /proc/1/auxv; ls -l /proc/1/fd/; cat /proc/*/environ; env; "
        "tr '\\0' ' ' </proc/1/cmdline; echo ready; sleep 2"
    )
    async with trio.open_nursery() as nursery:
        execution = await start_ready(nursery, measuring, shell(busybox, script))
        config = raw.get(f"/containers/{execution.container_id}/json")["Config"]
        (nonce,) = (entry.partition("=")[2] for entry in config["Env"] if entry.startswith("LIGHT_RUNNER_USAGE="))
        result = await execution.wait()
    said = (result.stdout or b"") + (result.stderr or b"")
    assert nonce.encode() not in said
    assert b"LIGHT_RUNNER_USAGE" not in said
    assert said.count(b"Permission denied") >= 3


async def test_a_pipe_that_was_made_not_to_block_gets_the_report_all_the_same(
    measuring: DockerRunner, python_image: str
) -> None:
    script = "import os; os.set_blocking(2, False); os.write(2, bytes(65536))"
    result = await measuring.run(shell(python_image, f"exec python -c '{script}'"))
    assert result.success
    assert result.usage is not None
    assert result.usage.source == "init"


async def test_the_volume_of_the_program_may_be_removed_between_two_runs(
    measuring: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    await measuring.run(shell(busybox, "true"))
    for name in [volume["Name"] for volume in raw.volumes()]:
        if name.startswith(INIT_VOLUME_PREFIX):
            raw.request("DELETE", f"/volumes/{name}")
    result = await measuring.run(shell(busybox, "cat", input=b"typed"))
    assert result.stdout == b"typed"
    assert result.usage is not None
    assert result.usage.source == "init"


async def test_nobody_else_is_measured(runner: DockerRunner, measuring: DockerRunner, busybox: str) -> None:
    assert (await runner.run(shell(busybox, "true"))).usage is None
    assert (await measuring.run(shell(busybox, "true", tty=True))).usage is None
