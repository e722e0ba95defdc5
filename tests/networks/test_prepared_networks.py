"""Prepared networks: a namespace for one run each, and as isolated as the run's own would be."""

import re

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunRequest, RunResult
from tests.conftest import ours
from tests.runs.conftest import PLAIN
from tests.runs.shell_runs import shell
from tests.warm.waiting import pause_containers, until
from tests.warm.ways import Way, cold, handle, prepared, ready_handle
from tools.raw_engine import Object, RawEngine

NAMESPACE = "readlink /proc/self/ns/net"
ADDRESS = "ip -4 -o addr show dev eth0 | tr '/' ' ' | awk '{print $4}'"
SERVER = f"{ADDRESS}; while :; do nc -l -p 7000 -e echo hello; done"
CLIENT = "nc -w 2 $SERVER 7000 || nc -w 2 127.0.0.1 7000"


async def network_mode(runner: DockerRunner, raw: RawEngine, request: RunRequest) -> str:
    """Start a run and ask the daemon for the network that its container was given."""
    async with trio.open_nursery() as nursery:
        execution = await handle(nursery, runner.run, request)
        mode: str = raw.get(f"/containers/{execution.container_id}/json")["HostConfig"]["NetworkMode"]
        execution.cancel()
    return mode


# --- one namespace, one run -------------------------------------------------------------------------------------------


async def test_runs_get_pause_containers_one_each_and_more_are_made(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    request = shell(busybox, "sleep 60")
    async with runner.prepared_networks(2, network="none"):
        first = pause_containers(raw)
        assert len(first) == 2
        used = {await network_mode(runner, raw, request) for _ in range(2)}
        assert used == {f"container:{pause_container}" for pause_container in first}
        await until(lambda: len(pause_containers(raw)) == 2 and not first & pause_containers(raw))
    assert not ours(raw)


async def test_no_two_runs_have_a_namespace_in_common(runner: DockerRunner, busybox: str) -> None:
    request = shell(busybox, f"{NAMESPACE}; sleep 60")
    async with runner.prepared_networks(2, network="none"), trio.open_nursery() as nursery:
        # At the same time: the kernel gives a number again when its namespace is gone. The last ones have their own.
        runs = [await ready_handle(nursery, runner.run, request) for _ in range(4)]
        for execution, _ in runs:
            execution.cancel()
    assert len({namespace for _, namespace in runs}) == 4


async def test_each_run_finds_an_untouched_namespace(runner: DockerRunner, busybox: str) -> None:
    script = "awk '/ lo:/ { print $2 }' /proc/net/dev; nc 127.0.0.1 9; awk '/ lo:/ { print ($2 > 0) }' /proc/net/dev"
    async with runner.prepared_networks(1, network="none"):
        for _ in range(2):
            assert (await runner.run(shell(busybox, script))).stdout == b"0\n1\n"
            await trio.sleep(0.7)  # Until there is another one.


async def test_with_an_empty_pool_a_run_has_a_network_of_its_own(
    runner: DockerRunner, raw: RawEngine, busybox: str
) -> None:
    request = shell(busybox, "echo ready; sleep 60")
    async with runner.prepared_networks(1, network="none"), trio.open_nursery() as nursery:
        execution, _ = await ready_handle(nursery, runner.run, request)
        assert await network_mode(runner, raw, request) == "none"
        execution.cancel()


@pytest.mark.parametrize("end", ["kill", "remove"])
async def test_where_the_pause_container_has_died_the_run_has_a_network_of_its_own(
    runner: DockerRunner, raw: RawEngine, busybox: str, end: str
) -> None:
    async with runner.prepared_networks(1):
        (pause_container,) = pause_containers(raw)
        if end == "kill":
            raw.request("POST", f"/containers/{pause_container}/kill")
        else:
            raw.remove_container(pause_container)
        result = await runner.run(shell(busybox, ADDRESS, network=None))
        assert result.success
        assert re.fullmatch(rb"[0-9.]+\n", result.stdout or b"")
        await until(lambda: len(pause_containers(raw)) == 1)
        assert pause_containers(raw) != {pause_container}


async def test_a_listener_of_one_run_is_not_there_for_another(runner: DockerRunner, busybox: str) -> None:
    async with runner.prepared_networks(2):
        assert not await reaches(runner, busybox, None)


async def test_on_a_plain_bridge_it_is(runner: DockerRunner, busybox: str, plain_network: str) -> None:
    # The same two containers, so that the test above is one that can fail.
    async with runner.prepared_networks(2, network=plain_network):
        assert await reaches(runner, busybox, plain_network)


async def reaches(runner: DockerRunner, image: str, network: str | None) -> bool:
    """Whether one of two runs at the same time gets an answer from the other."""
    async with trio.open_nursery() as nursery:
        server, address = await ready_handle(nursery, runner.run, shell(image, SERVER, network=network))
        assert address.count(".") == 3
        client = await runner.run(shell(image, CLIENT, network=network, env={"SERVER": address}))
        server.cancel()
    return client.stdout == b"hello\n"


# --- what a run sees of it --------------------------------------------------------------------------------------------

SIGHT = """
cat /proc/sys/kernel/hostname /etc/hostname; echo $HOSTNAME
cat /etc/hosts /etc/resolv.conf
ip -o link | sed 's/ether [0-9a-f:]*/ether/; s/@.*//; s/^[0-9]*//'; ip -4 -o addr | awk '{ print $2 }'; ip route
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/all/forwarding
echo 127.0.0.1 more >>/etc/hosts && tail -n 1 /etc/hosts
grep -o ' /etc/[a-z.]* r[ow]' /proc/self/mountinfo
"""


@pytest.mark.parametrize("network", [None, "none", PLAIN])
@pytest.mark.usefixtures("plain_network")
async def test_names_files_and_devices_are_the_same(runner: DockerRunner, busybox: str, network: str | None) -> None:
    request = shell(busybox, SIGHT, network=network)
    in_cold, in_prepared = [await sight(runner, way, request) for way in (cold, prepared)]
    assert in_prepared == in_cold
    assert in_cold.count("HOST") == (4 if network != "none" else 3)


async def sight(runner: DockerRunner, way: Way, request: RunRequest) -> str:
    """What a run sees, without what is another one each time: host name and address."""
    async with way(runner, request) as start:
        result = await start(request)
    assert result.stdout is not None
    text = result.stdout.decode()
    hostname = text.split()[0]
    assert re.fullmatch("[0-9a-f]{12}", hostname)
    return re.sub(r"\b172\.\d+\.\d+\.\d+\b", "ADDRESS", text.replace(hostname, "HOST"))


# --- whom it concerns -------------------------------------------------------------------------------------------------


async def test_runs_with_another_network_are_not_concerned(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    async with runner.prepared_networks(1):
        before = pause_containers(raw)
        assert await network_mode(runner, raw, shell(busybox, "sleep 60", network="none")) == "none"
        assert await network_mode(runner, raw, shell(busybox, "sleep 60", network="bridge")) == "bridge"
        assert pause_containers(raw) == before


async def test_other_runners_are_not_concerned(
    runner: DockerRunner, engine_host: str, raw: RawEngine, busybox: str
) -> None:
    async with runner.prepared_networks(1, network="none"), DockerRunner(host=engine_host) as other:
        assert await network_mode(other, raw, shell(busybox, "sleep 60")) == "none"


async def test_before_and_after_the_block_nothing_changes(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    request = shell(busybox, "sleep 60")
    assert await network_mode(runner, raw, request) == "none"
    async with runner.prepared_networks(1, network="none"):
        pass
    assert await network_mode(runner, raw, request) == "none"


async def test_detached_runs_have_networks_of_their_own(
    runner: DockerRunner, raw: RawEngine, busybox: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(tmp_path))
    async with runner.prepared_networks(1, network="none"):
        run_id = await runner.detach(RunRequest(image=busybox, entrypoint="sleep 1", network="none"))
        mode = raw.get(f"/containers/light-runner-{run_id}/json")["HostConfig"]["NetworkMode"]
        await runner.attach(run_id)
    assert mode == "none"


async def test_a_second_block_on_the_same_network_is_an_invalid_request(runner: DockerRunner, raw: RawEngine) -> None:
    async with runner.prepared_networks(1, network="none"), runner.prepared_networks(1):
        before = pause_containers(raw)
        for network in (None, "none"):
            with pytest.raises(LightRunnerError, match="network") as raised:
                async with runner.prepared_networks(1, network=network):
                    pytest.fail("it was opened")
            assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
        assert pause_containers(raw) == before
    async with runner.prepared_networks(1, network="none"):
        assert len(pause_containers(raw)) == 1


@pytest.mark.parametrize(("size", "network"), [(0, None), (1.5, None), (True, None), (1, "host"), (1, "container:x")])
async def test_a_bad_size_or_network_is_an_invalid_request(
    runner: DockerRunner, size: int, network: str | None
) -> None:
    with pytest.raises(LightRunnerError) as raised:
        async with runner.prepared_networks(size, network=network):
            pytest.fail("it was opened")
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST


async def test_an_unknown_network_is_the_daemons_error(runner: DockerRunner, raw: RawEngine) -> None:
    with pytest.raises(LightRunnerError, match="network no-such-network not found") as raised:
        async with runner.prepared_networks(3, network="no-such-network"):
            pytest.fail("it was opened")
    assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
    assert not ours(raw)


# --- the pause containers -----------------------------------------------------------------------------------


async def test_their_image_is_imported_once_and_tiny(runner: DockerRunner, raw: RawEngine) -> None:
    for image in raw.images():
        if is_of_pause_containers(image):
            raw.request("DELETE", f"/images/{image['Id']}", query={"force": 1})
    before = {image["Id"] for image in raw.images()}
    async with runner.prepared_networks(4, network="none"):
        (image,) = (image for image in raw.images() if image["Id"] not in before)  # Beside it none without a name.
    assert is_of_pause_containers(image)
    assert image["Size"] < 64 * 1024


def is_of_pause_containers(image: Object) -> bool:
    """Whether it is the image of pause containers."""
    tags: list[str] = image["RepoTags"] or []
    return any(tag.startswith("light-runner-init:") for tag in tags)


async def test_they_have_no_rights_and_do_nothing(runner: DockerRunner, raw: RawEngine) -> None:
    async with runner.prepared_networks(1, network="none"):
        (pause_container,) = pause_containers(raw)
        config = raw.get(f"/containers/{pause_container}/json")["HostConfig"]
        (process,) = raw.get(f"/containers/{pause_container}/top")["Processes"]
    assert (config["CapDrop"], config["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert config["Memory"] == config["MemorySwap"] == 32 * 1024**2
    assert process[-1] == "/.light-runner/init pause"


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_its_end_waits_for_a_run_in_another_task(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    request = shell(busybox, f"echo ready; sleep 0.7; {ADDRESS}", network=None)
    results = list[RunResult]()

    async def call() -> None:
        results.append(await execution.wait())

    async with trio.open_nursery() as nursery:
        async with runner.prepared_networks(1):
            execution, _ = await ready_handle(nursery, runner.run, request)
            nursery.start_soon(call)
        assert not pause_containers(raw)
    assert re.fullmatch(rb"ready\n[0-9.]+\n", results[0].stdout or b"")


async def test_an_exception_comes_out_bare_and_no_pause_container_is_left(runner: DockerRunner, raw: RawEngine) -> None:
    error = ZeroDivisionError("of the block")

    async def block() -> None:
        async with runner.prepared_networks(3, network="none"):
            raise error

    with pytest.raises(ZeroDivisionError) as raised:
        await block()
    assert raised.value is error
    assert not pause_containers(raw)


@pytest.mark.parametrize("seconds", [0.02, 0.2])
async def test_a_cancellation_while_it_is_filled_leaves_nothing(
    runner: DockerRunner, raw: RawEngine, seconds: float
) -> None:
    with trio.move_on_after(seconds) as scope:
        async with runner.prepared_networks(3):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert not pause_containers(raw)
