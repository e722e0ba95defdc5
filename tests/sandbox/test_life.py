"""A sandbox's life: from the request to the removal, and every way in which it can be lost."""

from typing import Any

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode, RunRequest, Sandbox
from tests.runs.conftest import MakeRunner
from tools.raw_engine import RawEngine


def is_closed(error: BaseException) -> bool:
    return isinstance(error, LightRunnerError) and error.code is LightRunnerErrorCode.SANDBOX_CLOSED


async def test_the_walls_are_a_runs(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    async with runner.sandbox(RunRequest(image=busybox, labels={"mine": "1"})) as box:
        inspected: Any = raw.get(f"/containers/{box.container_id}/json")
        host = inspected["HostConfig"]
        assert host["Memory"] == host["MemorySwap"] == 512 * 1024 * 1024
        assert (host["PidsLimit"], host["NanoCpus"], host["LogConfig"]["Type"]) == (100, 10**9, "none")
        assert {"NET_RAW", "MKNOD", "SYS_CHROOT"} <= {name.removeprefix("CAP_") for name in host["CapDrop"]}
        assert "no-new-privileges" in host["SecurityOpt"]
        assert inspected["Name"] == f"/light-runner-{box.id}"
        assert inspected["Config"]["Labels"]["light-runner.run-id"] == box.id
        assert inspected["Config"]["Labels"]["mine"] == "1"
        networks = [
            raw.get(f"/networks/{entry['NetworkID']}") for entry in inspected["NetworkSettings"]["Networks"].values()
        ]
        assert [network["Name"] for network in networks] == ["light-runner-isolated"]


async def test_a_request_for_a_run_is_refused(runner: DockerRunner, busybox: str) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("entrypoint", {"entrypoint": "ls"}),
        ("input", {"input": 1}),
        ("extract", {"extract": [ExtractSpec("a", "b")]}),
    ]
    for field, options in cases:
        with pytest.raises(LightRunnerError, match=field) as caught:
            async with runner.sandbox(RunRequest(image=busybox, **options)):
                pass
        assert caught.value.code is LightRunnerErrorCode.INVALID_REQUEST


async def test_after_the_block_nothing_is_left_and_nothing_works(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    async with runner.sandbox(RunRequest(image=busybox, network="none")) as box:
        await box.exec("sleep 1000 &", background=True)
    assert box.id not in str(raw.containers())
    for call in (box.exec("true"), box.read("x"), box.write("x", b""), box.expose(1), box.snapshot("x")):
        with pytest.raises(LightRunnerError, match="block has ended") as caught:
            await call
        assert is_closed(caught.value)


async def test_an_error_in_the_block_comes_out_bare(runner: DockerRunner, busybox: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with runner.sandbox(RunRequest(image=busybox, network="none")):
            raise ZeroDivisionError


async def test_a_cancelled_block_removes_its_container(runner: DockerRunner, busybox: str) -> None:
    for seconds in (0.05, 0.3, 1.5):  # While it starts, or while a command runs.
        with trio.move_on_after(seconds) as scope:
            async with runner.sandbox(RunRequest(image=busybox, network="none")) as box:
                await box.exec("sleep 1000")
        assert scope.cancelled_caught


async def test_the_time_of_the_request_is_the_sandboxes(runner: DockerRunner, busybox: str) -> None:
    async with runner.sandbox(RunRequest(image=busybox, network="none", timeout=0.5)) as box:
        with trio.fail_after(10), pytest.raises(LightRunnerError, match=r"time limit of 0\.5 s") as caught:
            await box.exec("sleep 1000")
        assert is_closed(caught.value)


@pytest.mark.parametrize("way", ["kill", "delete"])
async def test_a_container_that_is_gone_fails_every_call(box: Sandbox, raw: RawEngine, way: str) -> None:
    errors: list[BaseException] = []

    async def one(command: str) -> None:
        try:
            await box.exec(command)
        except LightRunnerError as error:
            errors.append(error)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            process = await nursery.start(_started, box)
            for _ in range(3):
                nursery.start_soon(one, "sleep 1000")
            await trio.sleep(0.3)
            if way == "kill":
                raw.request("POST", f"/containers/{box.container_id}/kill")
            else:
                raw.remove_container(box.container_id)
        with pytest.raises(trio.BrokenResourceError):
            await process.stdout.receive_some()
        with pytest.raises(LightRunnerError):
            await box.exec("true")
    assert len(errors) == 3
    assert all(map(is_closed, errors))


async def _started(box: Sandbox, *, task_status: trio.TaskStatus[Any]) -> None:
    with pytest.raises(LightRunnerError):
        await box.start("sleep 1000", task_status=task_status)


async def test_a_failing_runner_block_ends_its_sandboxes(make_runner: MakeRunner, busybox: str) -> None:
    errors: list[BaseException] = []
    ready = trio.Event()

    async def live(runner: DockerRunner) -> None:
        try:
            async with runner.sandbox(RunRequest(image=busybox, network="none")) as box:
                ready.set()
                await box.exec("sleep 1000")
        except LightRunnerError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what fails
            async with make_runner() as runner:
                nursery.start_soon(live, runner)
                await ready.wait()
                raise ZeroDivisionError
    assert len(errors) == 1


async def test_the_isolated_network_is_as_for_runs(runner: DockerRunner, busybox: str) -> None:
    async with runner.prepared_networks(1), runner.sandbox(RunRequest(image=busybox)) as box:
        assert b"eth0" in ((await box.exec("ip addr")).stdout or b"")
