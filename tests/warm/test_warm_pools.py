"""Warm pools: what they are made for, what they refuse, and that each container serves one run."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, Execution, LightRunnerError, LightRunnerErrorCode, RunRequest, RunResult
from tests.conftest import ours
from tests.runs.conftest import CommittedImage, ImageVariant
from tests.runs.shell_runs import shell
from tests.warm.ways import handle, ready_handle
from tools.raw_engine import RawEngine

HOSTNAME = "cat /proc/sys/kernel/hostname"


def waiting(raw: RawEngine) -> list[str]:
    """The ids of the containers of ours that run."""
    return [container["Id"] for container in raw.containers(all=False, label="light-runner.run-id")]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the daemon does not announce."""
    while not condition():  # noqa: ASYNC110 - the oracle has no events
        await trio.sleep(0.05)


# --- one container, one run -------------------------------------------------------------------------------------------


async def test_it_is_full_and_then_again(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    request = shell(busybox, "true")
    async with runner.warm(request, size=2) as pool:
        first = waiting(raw)
        assert len(first) == 2
        for _ in range(2):
            await pool.run(request)
        await until(lambda: len(waiting(raw)) == 2)
        assert not set(first) & set(waiting(raw))
    assert not ours(raw)


async def test_more_callers_than_containers_have_one_each(runner: DockerRunner, busybox: str) -> None:
    request = shell(busybox, f"{HOSTNAME}; cat")
    results = dict[int, bytes | None]()

    async def call(number: int) -> None:
        result = await pool.run(shell(busybox, f"{HOSTNAME}; cat", input=number))
        results[number] = result.stdout

    async with runner.warm(request, size=2, max_size=3) as pool, trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(call, number)
    said = {number: (stdout or b"").decode().split() for number, stdout in results.items()}
    assert len({hostname for hostname, _ in said.values()}) == 8
    assert all(int(given) == number for number, (_, given) in said.items())


async def test_what_a_run_leaves_behind_no_other_one_finds(runner: DockerRunner, busybox: str) -> None:
    script = "ls /tmp . | grep -c left; touch /tmp/left left; (sleep 3600 &)"
    async with runner.warm(shell(busybox, script), size=2) as pool:
        for _ in range(3):
            assert (await pool.run(shell(busybox, script))).stdout == b"0\n"


async def test_one_that_was_killed_while_it_waited_is_replaced(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    request = shell(busybox, HOSTNAME)
    async with runner.warm(request, size=2) as pool:
        killed = waiting(raw)
        raw.request("POST", f"/containers/{killed[0]}/kill")
        raw.remove_container(killed[1])
        await trio.sleep(0.3)  # Until the daemon has told.
        seen = [(await pool.run(request)).stdout for _ in range(2)]
        await until(lambda: len(waiting(raw)) == 2)
    assert all(stdout and stdout.strip().decode() not in str(killed) for stdout in seen)


async def test_the_image_may_complain_on_stderr_before_it_is_ready(
    runner: DockerRunner, committed_image: CommittedImage
) -> None:
    noisy = "mv /bin/sh /bin/real; printf '#!/bin/real\\necho noise >&2; exec /bin/real \"$@\"\\n' >/bin/sh; chmod 755 /bin/sh"
    image = committed_image("noisy", noisy)
    async with runner.warm(shell(image, "echo fine"), size=1) as pool:
        assert (await pool.run(shell(image, "echo fine"))).stdout == b"fine\n"


# --- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", "other:1"),
        ("run", ["true"]),
        ("network", None),
        ("network", "bridge"),
        ("workdir", "/other"),
        ("platform", "linux/s390x"),
        ("timeout", -1),
        ("entrypoint", ""),
    ],
)
async def test_another_request_than_the_template_is_invalid(
    runner: DockerRunner, raw: RawEngine, busybox: str, field: str, value: object
) -> None:
    request = shell(busybox, "true")
    async with runner.warm(request, size=1) as pool:
        before = waiting(raw)
        with pytest.raises(LightRunnerError, match=field) as raised:
            await pool.run(
                shell(**{"image": busybox, "script": "true", field: value})
                if field != "entrypoint"
                else RunRequest(image=busybox, entrypoint="", network="none")
            )
        assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
        assert waiting(raw) == before, "no container was used up"
