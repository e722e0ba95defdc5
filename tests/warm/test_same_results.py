"""One contract for cold runs, warm pools and prepared networks: results, output, files, errors."""

import time
from pathlib import Path

import pytest
import trio

from lightrunner import (
    DockerRunner,
    Execution,
    ExtractSpec,
    LightRunnerError,
    LightRunnerErrorCode,
    LightRunnerWarning,
    LogLine,
    RunRequest,
)
from tests.runs.conftest import CommittedImage, ImageVariant
from tests.runs.host_folders import files, lay_out
from tests.runs.shell_runs import shell
from tests.warm.ways import Run, Way, awaited, cold, handle, prepared, ready_handle, warm
from tools.raw_engine import RawEngine

INPUT = b"echo not a command\n" + bytes(range(256)) * 4 + b"\n" * 10_000
PATIENT = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done"


# --- input, output ----------------------------------------------------------------------------------------------------


async def test_stdin_is_the_input_and_nothing_else(run: Run, busybox: str) -> None:
    result = await run(shell(busybox, "cat; echo end >&2", input=INPUT))
    assert (result.stdout, result.stderr, result.exit_code) == (INPUT, b"end\n", 0)


async def test_an_input_that_is_not_read_harms_nobody(runner: DockerRunner, way: Way, busybox: str) -> None:
    result = await awaited(runner, way)(shell(busybox, "echo done; exit 3", input=bytes(5_000_000)))
    assert (result.exit_code, result.stdout) == (3, b"done\n")


async def test_the_first_line_and_the_last_are_the_runs_own(run: Run, busybox: str) -> None:
    lines = list[LogLine]()
    result = await run(shell(busybox, "echo; echo one; printf ' last'"), on_log=lines.append)
    assert [line.text for line in lines] == ["", "one", " last"]
    assert result.stdout == b"\none\n last"


@pytest.mark.parametrize("way", [cold, warm])
async def test_a_script_of_many_lines(runner: DockerRunner, way: Way, busybox: str) -> None:
    script = "cat <<'END'\n" + 'it\'s $HOME \\ "x" \u0081\n' * 500 + "END\necho after"
    result = await awaited(runner, way)(shell(busybox, script))
    assert result.stdout == ('it\'s $HOME \\ "x" \u0081\n' * 500 + "after\n").encode()


async def test_a_callback_that_raises_ends_the_run_and_comes_out_bare(run: Run, busybox: str) -> None:
    error = ZeroDivisionError("of the callback")

    def fail(_: LogLine) -> None:
        raise error

    with pytest.raises(ZeroDivisionError) as raised:
        await run(shell(busybox, "echo; sleep 60"), on_log=fail)
    assert raised.value is error


@pytest.mark.parametrize("way", [cold, warm])
async def test_dropped_names_are_told(runner: DockerRunner, way: Way, busybox: str) -> None:
    async with way(runner, shell(busybox, "true")) as start:
        with pytest.warns(LightRunnerWarning, match="'no-name'") as caught:
            await start(shell(busybox, "true", env={"no-name": "x"}))
    assert caught.pop(LightRunnerWarning).filename == __file__


# --- how it ends ------------------------------------------------------------------------------------------------------


async def test_a_segmentation_fault_of_the_process_itself(runner: DockerRunner, way: Way, python_image: str) -> None:
    crash = shell(python_image, "exec python -c 'import ctypes; ctypes.string_at(0)'")
    assert (await awaited(runner, way)(crash)).exit_code == 139


async def test_stop_reaches_the_process(runner: DockerRunner, way: Way, busybox: str) -> None:
    request = shell(busybox, PATIENT)
    async with way(runner, request) as start, trio.open_nursery() as nursery:
        execution, _ = await ready_handle(nursery, start, request)
        await execution.stop(grace=3600)
        result = await execution.wait()
    assert (result.exit_code, result.cancelled, result.stdout) == (7, True, b"ready\nbye\n")


async def test_cancel_kills(runner: DockerRunner, way: Way, busybox: str) -> None:
    request = shell(busybox, "trap '' TERM; sleep 3600")
    async with way(runner, request) as start, trio.open_nursery() as nursery:
        execution = await handle(nursery, start, request)
        execution.cancel()
        result = await execution.wait()
    assert (result.exit_code, result.cancelled, result.success) == (137, True, False)


async def test_the_time_out_counts_from_the_start_of_the_run(runner: DockerRunner, way: Way, busybox: str) -> None:
    request = shell(busybox, "echo ready; sleep 3600", timeout=1.0)
    async with way(runner, request) as start:
        await trio.sleep(1.2)  # Longer than the time-out: what waits for its run does not use it up.
        begin = time.monotonic()
        result = await start(request)
    assert (result.timed_out, result.exit_code, result.stdout) == (True, 137, b"ready\n")
    assert 1.0 <= result.duration <= time.monotonic() - begin


async def test_a_cancelled_scope_leaves_nothing(runner: DockerRunner, way: Way, busybox: str, raw: RawEngine) -> None:
    request = shell(busybox, "echo ready; sleep 3600")
    async with way(runner, request) as start:
        scope = trio.CancelScope()
        executions = list[Execution]()

        async def cancelled_when_ready() -> None:
            with scope:
                async with trio.open_nursery() as nursery:
                    executions.append((await ready_handle(nursery, start, request))[0])
                    scope.cancel()

        await cancelled_when_ready()
        assert scope.cancelled_caught
        assert not any(executions[0].id in container["Names"][0] for container in raw.containers())
        with pytest.raises(LightRunnerError) as raised:
            await executions[0].wait()
    assert raised.value.code is LightRunnerErrorCode.RUN_ABORTED


@pytest.mark.usefixtures("daemon_clean")
async def test_an_oom_kill_is_told(engine_host: str, way: Way, busybox: str) -> None:
    async with DockerRunner(host=engine_host, memory="32m") as runner:
        result = await awaited(runner, way)(shell(busybox, "exec tail -n 1 </dev/zero"))
    assert (result.exit_code, result.oom_killed, result.success) == (137, True, False)


@pytest.mark.parametrize("way", [cold, warm])
async def test_timings_are_the_runs_own(runner: DockerRunner, way: Way, busybox: str) -> None:
    result = await awaited(runner, way)(shell(busybox, "sleep 0.2"))
    timings = result.timings
    assert timings.run >= 0.2
    assert timings.cleanup > 0
    assert (timings.create == timings.start == 0.0) == (way.__name__ == "warm")


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["root", "app"])
async def test_a_folder_goes_in_and_files_come_out(
    runner: DockerRunner, way: Way, image_variant: ImageVariant, tmp_path: Path, user: str
) -> None:
    odd = "long-" * 30 + "ü"
    source = lay_out(
        tmp_path / "in", {"a": "of the host", "sub/deep/b": "x", odd: "odd", "empty/": "", ".git/config": "left out"}
    )
    (source / "a").chmod(0o600)
    (source / "link").symlink_to("a")
    request = shell(
        image_variant(f"as-{user}", f"USER {user}"),
        "id -un; pwd; find . | sort; stat -c '%a %u:%g' a sub; mkdir out; cp -r a sub out; rm -r sub; echo made > made",
        dir=source,
        workdir="/w/x",
        extract=[ExtractSpec("out", tmp_path / "out"), ExtractSpec("/w/x/made", tmp_path), ExtractSpec("no", tmp_path)],
    )
    result = await awaited(runner, way)(request)
    assert result.stdout is not None
    listing = "\n".join(
        [user, "/w/x", *sorted([".", "./a", "./empty", f"./{odd}", "./sub", "./sub/deep", "./sub/deep/b"])]
    )
    assert result.stdout.decode() == f"{listing}\n666 0:0\n777 0:0\n"
    assert result.extracted is not None
    assert [entry.status for entry in result.extracted] == ["ok", "ok", "missing"]
    assert files(tmp_path / "out") == {"a": "of the host", "sub/deep/b": "x"}
    assert (tmp_path / "made").read_text() == "made\n"


@pytest.mark.parametrize("way", [cold, warm])
async def test_a_folder_lies_on_top_of_the_images_own(
    runner: DockerRunner, way: Way, committed_image: CommittedImage, tmp_path: Path
) -> None:
    image = committed_image("with-app", "mkdir /app; echo image > /app/kept; echo image > /app/replaced")
    source = lay_out(tmp_path, {"replaced": "host\n"})
    result = await awaited(runner, way)(shell(image, "cat kept replaced", dir=source))
    assert result.stdout == b"image\nhost\n"


async def test_a_folder_that_is_missing_is_an_invalid_request(run: Run, busybox: str, tmp_path: Path) -> None:
    with pytest.raises(LightRunnerError, match="dir") as raised:
        await run(shell(busybox, "true", dir=tmp_path / "missing"))
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("way", [warm, prepared])
async def test_setup_steps_are_there(runner: DockerRunner, way: Way, busybox: str, raw: RawEngine) -> None:
    request = RunRequest(image=busybox, run=["echo built > /built"], entrypoint="cat /built", capture_output=True)
    result = await awaited(runner, way)(request)
    raw.request("DELETE", f"/images/{await runner.prepare(request)}")
    assert result.stdout == b"built\n"


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        ['ENTRYPOINT ["echo", "a  b", "it\'s"]', 'CMD ["$HOME", "c"]'],
        ['CMD ["echo", "only", "cmd"]'],
        ["ENTRYPOINT echo shell $HOME; exit 9"],
    ],
    ids=["both", "cmd", "text"],
)
async def test_the_images_own_command(runner: DockerRunner, image_variant: ImageVariant, changes: list[str]) -> None:
    image = image_variant(f"command-{len(changes[0])}", *changes)
    request = RunRequest(image=image, network="none", capture_output=True)
    first, second = [await awaited(runner, way)(request) for way in (cold, warm)]
    assert (first.stdout, first.stderr, first.exit_code) == (second.stdout, second.stderr, second.exit_code)
    assert first.stdout
