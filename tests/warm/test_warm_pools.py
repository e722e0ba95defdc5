"""Warm pools: the requests that they take and refuse, and that each container serves one run."""

from pathlib import Path

import msgspec
import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunRequest, RunResult, WarmPool
from lightrunner.engine import EngineClient
from lightrunner.networks.allocation import Networks
from lightrunner.networks.pause_containers import PauseContainer, PauseContainers
from lightrunner.testing import json_answer
from tests.conftest import ours
from tests.fake_daemon import fake_daemon
from tests.runs.conftest import CommittedImage, ImageVariant, MakeRunner
from tests.runs.host_folders import lay_out, meddle
from tests.runs.shell_runs import shell
from tests.warm.waiting import pause_containers, until, warm_containers
from tests.warm.ways import handle
from tools.raw_engine import RawEngine

HOSTNAME = "cat /proc/sys/kernel/hostname"
NOISY_SHELL = r"""
rm /bin/sh
cat >/bin/sh <<'END'
#!/bin/busybox sh
echo noise >&2
exec busybox sh "$@"
END
chmod 755 /bin/sh
"""


# --- one container, one run -------------------------------------------------------------------------------------------


async def test_it_is_full_and_then_again(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    request = shell(busybox, "true")
    async with runner.warm(request, size=2) as pool:
        first = warm_containers(raw)
        assert len(first) == 2
        for _ in range(2):
            await pool.run(request)
        await until(lambda: len(warm_containers(raw)) == 2)
        assert not first & warm_containers(raw)
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


async def test_on_a_network_each_has_a_namespace_of_a_pause_container(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    request = shell(busybox, "true", network=None)
    async with runner.warm(request, size=2) as pool:
        modes = network_modes(raw)
        assert len(modes) == 2
        assert modes == {f"container:{pause_container}" for pause_container in pause_containers(raw)}
        for _ in range(2):
            assert (await pool.run(request)).success
        await until(lambda: len(network_modes(raw)) == 2 and not modes & network_modes(raw))
        await until(
            lambda: network_modes(raw) == {f"container:{pause_container}" for pause_container in pause_containers(raw)}
        )
    assert not ours(raw)


async def test_who_waits_does_not_wait_for_a_pause_container(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    request = shell(busybox, "cat /proc/sys/kernel/hostname; sleep 1", network=None)
    modes = set[str]()
    async with runner.warm(request, size=1) as pool, trio.open_nursery() as nursery:
        for _ in range(2):
            execution = await handle(nursery, pool.run, request)
            modes.add(raw.get(f"/containers/{execution.container_id}/json")["HostConfig"]["NetworkMode"])
    assert raw.get("/networks/light-runner-isolated")["Id"] in modes
    assert len(modes) == 2


@pytest.mark.parametrize("end", ["kill", "remove"])
async def test_a_pause_container_that_dies_before_it_is_joined_is_done_without(
    runner: DockerRunner, raw: RawEngine, busybox: str, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    made = list[str]()
    make = PauseContainers.make

    async def make_and_end(self: PauseContainers, network: str | None) -> PauseContainer:
        pause_container = await make(self, network)
        if not made:
            raw.request("POST", f"/containers/{pause_container.container_id}/kill")
            if end == "remove":
                raw.remove_container(pause_container.container_id)
        made.append(pause_container.container_id)
        return pause_container

    monkeypatch.setattr(PauseContainers, "make", make_and_end)
    request = shell(busybox, "ip -4 -o addr show dev eth0 | wc -l", network=None)
    async with runner.warm(request, size=1) as pool:
        assert network_modes(raw) == {raw.get("/networks/light-runner-isolated")["Id"]}
        assert (await pool.run(request)).stdout == b"1\n"
        assert len(made) == 1, "the first container is the one that is used"
    assert not ours(raw)


async def test_without_a_network_there_are_no_pause_containers(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    async with runner.warm(shell(busybox, "true", network="none"), size=2):
        assert network_modes(raw) == {"none"}
        assert not pause_containers(raw)


async def test_it_takes_nothing_from_a_block_of_prepared_networks(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    request = shell(busybox, "true", network="none")
    closing = trio.Event()

    async def keep(*, task_status: trio.TaskStatus[WarmPool]) -> None:
        async with runner.warm(request, size=2) as pool:
            task_status.started(pool)
            await closing.wait()

    async with trio.open_nursery() as nursery:
        async with runner.prepared_networks(2, network="none"):
            block = pause_containers(raw)
            pool: WarmPool = await nursery.start(keep)
            assert network_modes(raw) == {"none"}
            assert pause_containers(raw) == block
        assert not pause_containers(raw), "the block has ended, and did not wait for the pool"
        assert (await pool.run(request)).success
        closing.set()


async def test_where_the_pause_containers_have_died_its_runs_are_the_same(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    request = shell(busybox, "ip -4 -o addr show dev eth0 | wc -l", network=None)
    async with runner.warm(request, size=1) as pool:
        for pause_container in pause_containers(raw):
            raw.remove_container(pause_container)
        for _ in range(2):
            assert (await pool.run(request)).stdout == b"1\n"
    assert not ours(raw)


@pytest.mark.parametrize(
    ("told", "runtime", "expected"),
    [
        ({"Architecture": "x86_64", "DefaultRuntime": "runc"}, "runc", True),
        ({"Architecture": "aarch64", "DefaultRuntime": "crun"}, "runc", True),  # The runner's default: the daemon's.
        ({"Architecture": "x86_64", "DefaultRuntime": "kata"}, "runc", False),
        ({"Architecture": "x86_64", "DefaultRuntime": "runc"}, "runsc", False),
        ({"Architecture": "s390x", "DefaultRuntime": "runc"}, "runc", False),
        ({}, "runc", False),
    ],
)
async def test_who_can_join_a_pause_container(told: dict[str, str], runtime: str, *, expected: bool) -> None:
    async with fake_daemon({"system_info": json_answer(told)}) as daemon, EngineClient(daemon.host) as engine:
        pause_containers = Networks(engine).pause_containers
        assert [await pause_containers.can_prepare(runtime) for _ in range(2)] == [expected] * 2
        assert len(daemon.requests("system_info")) == 1


async def test_a_pool_of_a_runtime_that_cannot_join_has_no_pause_containers(
    make_runner: MakeRunner, raw: RawEngine, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightrunner.networks.pause_containers._JOINING_RUNTIMES", frozenset[str]())
    request = shell(busybox, "true", network=None)
    async with make_runner() as runner, runner.warm(request, size=1) as pool:
        assert network_modes(raw) == {raw.get("/networks/light-runner-isolated")["Id"]}
        assert not pause_containers(raw)
        assert (await pool.run(request)).success


def network_modes(raw: RawEngine) -> set[str]:
    """What the containers that wait were given for a network."""
    return {raw.get(f"/containers/{name}/json")["HostConfig"]["NetworkMode"] for name in warm_containers(raw)}


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
        killed = list(warm_containers(raw))
        raw.request("POST", f"/containers/{killed[0]}/kill")
        raw.remove_container(killed[1])
        await trio.sleep(0.3)  # Until the daemon has told.
        seen = [(await pool.run(request)).stdout for _ in range(2)]
        await until(lambda: len(warm_containers(raw)) == 2)
    assert all(stdout and stdout.strip().decode() not in str(killed) for stdout in seen)


async def test_the_image_may_complain_on_stderr_before_it_is_ready(
    runner: DockerRunner, committed_image: CommittedImage
) -> None:
    image = committed_image("noisy", NOISY_SHELL)
    async with runner.warm(shell(image, "echo fine"), size=1) as pool:
        assert (await pool.run(shell(image, "echo fine"))).stdout == b"fine\n"


# --- what it refuses --------------------------------------------------------------------------------------------------


async def test_another_request_than_the_template_is_invalid(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    other: dict[str, object] = {
        "image": "other:1",
        "run": ["true"],
        "network": "bridge",
        "workdir": "/other",
        "platform": "linux/s390x",
        "timeout": -1,
    }
    template = shell(busybox, "true")
    async with runner.warm(template, size=1) as pool:
        before = warm_containers(raw)
        for field, value in other.items():
            with pytest.raises(LightRunnerError, match=field) as raised:
                await pool.run(msgspec.structs.replace(template, **{field: value}))
            assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
        assert warm_containers(raw) == before, "no container was used up"


@pytest.mark.parametrize(
    ("field", "value"), [("size", 0), ("size", 1.5), ("max_size", 1), ("max_size", 0), ("idle_time", 0)]
)
async def test_a_size_that_is_none_is_invalid(runner: DockerRunner, busybox: str, field: str, value: float) -> None:
    with pytest.raises(LightRunnerError, match=field) as raised:
        async with runner.warm(shell(busybox, "true"), **{"size": 2, field: value}):  # type: ignore[arg-type]
            pytest.fail("it was opened")
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("no-shell", "rm /bin/sh /bin/ash"), r"a warm container needs a POSIX shell \(sh\) in the image"),
        (
            ("false-shell", "rm /bin/sh; echo '#!/bin/busybox echo' >/bin/sh; chmod 755 /bin/sh"),
            r"needs a POSIX shell .* printed '/bin/sh -c set",
        ),
    ],
    ids=["none", "another program"],
)
async def test_an_image_without_a_shell_is_refused(
    runner: DockerRunner, committed_image: CommittedImage, raw: RawEngine, change: tuple[str, str], reason: str
) -> None:
    image = committed_image(*change)
    with pytest.raises(LightRunnerError, match=reason) as raised:
        async with runner.warm(shell(image, "true"), size=2):
            pytest.fail("it was opened")
    assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
    assert raised.value.docker_op == "container_start"
    assert not ours(raw)


async def test_an_image_that_is_not_there_is_the_pulls_error(runner: DockerRunner, raw: RawEngine) -> None:
    with pytest.raises(LightRunnerError) as raised:
        async with runner.warm(shell("127.0.0.1:1/missing:1", "true"), size=3):
            pytest.fail("it was opened")
    assert raised.value.code is LightRunnerErrorCode.IMAGE_PULL_FAILED
    assert not ours(raw)


async def test_a_command_that_is_not_there_is_exit_code_127(runner: DockerRunner, image_variant: ImageVariant) -> None:
    # Cold, the daemon refuses to start it. Here the shell finds out, when the run has begun.
    image = image_variant("no-command", 'CMD ["/no/such/program"]')
    request = RunRequest(image=image, network="none", capture_output=True)
    async with runner.warm(request, size=1) as pool:
        result = await pool.run(request)
    assert (result.exit_code, result.stdout) == (127, b"")
    assert b"/no/such/program" in (result.stderr or b"")


async def test_a_folder_that_cannot_be_read_fails_as_in_a_cold_run(
    runner: DockerRunner, busybox: str, raw: RawEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = lay_out(tmp_path, {"file": "content"})
    assert not meddle(monkeypatch, "file", lambda: (source / "file").write_text(""))
    request = shell(busybox, "true", dir=source)
    async with runner.warm(request, size=1) as pool:
        with pytest.raises(LightRunnerError, match="file: changed while it was read") as raised:
            await pool.run(request)
    assert raised.value.code is LightRunnerErrorCode.SEED_FAILED
    assert not ours(raw)


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "addresses"), [("none", b"lo\n"), (None, b"eth0\nlo\n")])
async def test_the_network_is_the_templates(
    runner: DockerRunner, busybox: str, network: str | None, addresses: bytes
) -> None:
    request = shell(busybox, "ls /sys/class/net | grep -E '^(lo|eth)'", network=network)
    async with runner.warm(request, size=1) as pool:
        assert (await pool.run(request)).stdout == addresses


# --- its end ----------------------------------------------------------------------------------------------------------


async def test_its_end_waits_for_runs_in_other_tasks(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    request = shell(busybox, "echo ready; sleep 0.5; echo over")
    results = list[RunResult]()

    async with trio.open_nursery() as nursery:
        async with runner.warm(request, size=1) as pool:

            async def call() -> None:
                results.append(await pool.run(request))

            for _ in range(2):  # One of them waits for its container.
                nursery.start_soon(call)
            await trio.sleep(0.2)
        assert not ours(raw)
        assert [result.stdout for result in results] == [b"ready\nover\n"] * 2
        with pytest.raises(LightRunnerError, match="closed") as raised:
            await pool.run(request)
        assert raised.value.code is LightRunnerErrorCode.RUN_ABORTED


async def test_an_exception_aborts_runs_in_other_tasks_and_nothing_is_left(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    request = shell(busybox, "echo ready; sleep 3600")
    error = ZeroDivisionError("of the block")
    aborted = list[LightRunnerError]()

    async def run(pool: WarmPool, *, task_status: trio.TaskStatus[None]) -> None:
        with pytest.raises(LightRunnerError) as raised:
            await pool.run(request, on_log=lambda _: task_status.started())
        aborted.append(raised.value)

    async def block(nursery: trio.Nursery) -> None:
        async with runner.warm(request, size=2) as pool:
            await nursery.start(run, pool)
            raise error

    async with trio.open_nursery() as nursery:
        with pytest.raises(ZeroDivisionError) as raised:
            await block(nursery)
        assert raised.value is error
        assert not ours(raw)
    assert [error.code for error in aborted] == [LightRunnerErrorCode.RUN_ABORTED]


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3])
async def test_a_cancellation_while_it_is_filled_leaves_nothing(
    runner: DockerRunner, raw: RawEngine, busybox: str, seconds: float
) -> None:
    with trio.move_on_after(seconds) as scope:
        async with runner.warm(shell(busybox, "true"), size=3):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert not ours(raw)


async def test_a_closed_runner_ends_its_pools(engine_host: str, daemon_clean: RawEngine, busybox: str) -> None:
    request = shell(busybox, "true")

    async def hold(runner: DockerRunner, *, task_status: trio.TaskStatus[None]) -> None:
        async with runner.warm(request, size=1):
            task_status.started()
            await trio.sleep_forever()

    async def hold_to_the_end(runner: DockerRunner, *, task_status: trio.TaskStatus[None]) -> None:
        with pytest.raises(LightRunnerError) as raised:
            await hold(runner, task_status=task_status)
        assert raised.value.code is LightRunnerErrorCode.RUN_ABORTED

    async def block(nursery: trio.Nursery) -> None:
        async with DockerRunner(host=engine_host) as runner:
            await nursery.start(hold_to_the_end, runner)
            raise ZeroDivisionError

    async with trio.open_nursery() as nursery:
        with pytest.raises(ZeroDivisionError):
            await block(nursery)
        assert not ours(daemon_clean)


# --- what is fixed when the container is created ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [("user", "app"), ("hostname", "job-7"), ("extra_hosts", {"db": "10.1.2.3"}), ("labels", {"tenant": "7"})],
)
async def test_what_a_container_was_created_with_cannot_be_another(
    runner: DockerRunner, busybox: str, field: str, value: object
) -> None:
    script = "echo $(id -u) $(hostname) $(grep -c 10.1.2.3 /etc/hosts)"
    template = msgspec.structs.replace(shell(busybox, script, network=None), **{field: value})
    async with runner.warm(template, size=1) as pool:
        with pytest.raises(LightRunnerError, match=f"{field}=.*: differs from the warm pool's template") as caught:
            await pool.run(shell(busybox, script, network=None))
        warm = await pool.run(template)
    assert caught.value.code == LightRunnerErrorCode.INVALID_REQUEST
    user, hostname, hosts = (warm.stdout or b"").decode().split()
    assert (user, hosts) == ("1000" if field == "user" else "0", "1" if field == "extra_hosts" else "0")
    assert (hostname == "job-7") is (field == "hostname")


async def test_walls_stand_around_warm_containers_too(
    make_runner: MakeRunner, image_variant: ImageVariant, tmp_path: Path
) -> None:
    lay_out(tmp_path, {"seeded": b"seeded\n"})
    script = "cat seeded; echo x >new; touch /etc/new 2>/dev/null || echo read-only; ulimit -n"
    request = shell(image_variant("as-app", "USER app"), script, dir=tmp_path)
    async with make_runner(read_only=True, ulimits={"nofile": 77}) as runner, runner.warm(request, size=1) as pool:
        assert (await pool.run(request)).stdout == b"seeded\nread-only\n77\n"
