"""The life of a container, operation by operation: its states, and the operations refused in each."""

import pytest

from lightrunner.engine import EngineClient, EngineConflict, EngineNotFound, EngineResponseError
from lightrunner.engine.wire import ContainerCreateRequest, HostConfig, LogConfig, Mount, VolumeOptions
from tests.engine.containers import created, run_to_exit, running, wait_exit
from tools.raw_engine import RawEngine

NO_SUCH = "lightrunner-test-no-such-container"


async def test_create_sends_every_field(client: EngineClient, raw: RawEngine, busybox: str) -> None:
    body = ContainerCreateRequest(
        image=busybox,
        entrypoint=["sh", "-c"],
        cmd=["exit 3"],
        env=["NAME=vàlue with = and\nnewline"],
        user="app",
        working_dir="/data",
        hostname="somewhere",
        labels={"a.b": "c"},
        open_stdin=True,
        stdin_once=True,
        host_config=HostConfig(
            mounts=[
                Mount(
                    type="volume",
                    source="lightrunner-test-mount",
                    target="/data",
                    volume_options=VolumeOptions(labels={"of": "volume"}),
                )
            ],
            memory=64 << 20,
            memory_swap=64 << 20,
            nano_cpus=500_000_000,
            pids_limit=50,
            cap_drop=["MKNOD"],
            security_opt=["no-new-privileges"],
            network_mode="none",
            log_config=LogConfig(type="none"),
        ),
    )
    reply = await client.container_create(body, name="lightrunner-test-fields")
    try:
        seen = raw.get(f"/containers/{reply.id}/json")
        told = await client.container_inspect(reply.id)
        assert raw.get("/volumes/lightrunner-test-mount")["Labels"] == {"of": "volume"}
        assert await run_to_exit(client, reply.id) == 3
    finally:
        raw.remove_container(reply.id)
        raw.remove_volume("lightrunner-test-mount")
    config, host = seen["Config"], seen["HostConfig"]
    assert (config["Entrypoint"], config["Cmd"], config["User"]) == (["sh", "-c"], ["exit 3"], "app")
    assert (config["WorkingDir"], config["Hostname"], config["Labels"]) == ("/data", "somewhere", {"a.b": "c"})
    assert "NAME=vàlue with = and\nnewline" in config["Env"]
    assert config["OpenStdin"]
    assert config["StdinOnce"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64 << 20, 64 << 20, 500_000_000)
    assert (host["PidsLimit"], host["CapDrop"], host["SecurityOpt"]) == (50, ["MKNOD"], ["no-new-privileges"])
    assert (host["NetworkMode"], host["LogConfig"]["Type"], host["Runtime"]) == ("none", "none", "runc")
    assert (told.id, told.name, told.image) == (reply.id, "/lightrunner-test-fields", seen["Image"])
    assert (told.state.status, told.state.running, told.state.exit_code) == ("created", False, 0)
    assert (told.config.cmd, told.config.working_dir, told.config.user) == (["exit 3"], "/data", "app")
    assert told.created == seen["Created"]


async def test_what_is_not_set_is_the_images(client: EngineClient, raw: RawEngine, busybox: str) -> None:
    body = ContainerCreateRequest(image=busybox)
    container_id = (await client.container_create(body)).id
    try:
        assert raw.get(f"/containers/{container_id}/json")["Config"]["Cmd"] == ["sh"]
    finally:
        raw.remove_container(container_id)


async def test_list_tells_running_from_all_and_filters(client: EngineClient, busybox: str) -> None:
    async with running(client, busybox) as alive, created(client, busybox, "true") as waiting:
        ids = {container.id for container in await client.container_list()}
        assert alive in ids
        assert waiting not in ids
        summaries = {container.id: container for container in await client.container_list(all=True)}
        assert (summaries[waiting].state, summaries[alive].state) == ("created", "running")
        assert (summaries[waiting].image, summaries[waiting].status) == (busybox, "Created")
        assert summaries[waiting].created > 0
        filtered = await client.container_list(all=True, filters={"id": [waiting], "status": ["created", "exited"]})
        assert [container.id for container in filtered] == [waiting]


async def test_the_states_from_start_to_removal(client: EngineClient, busybox: str) -> None:
    script = "trap 'exit 7' TERM; touch /ready; while :; do sleep 0.05; done"
    async with created(client, busybox, "sh", "-c", script) as container:
        await client.container_start(container)
        await client.container_start(container)  # 304
        await wait_for_path(client, container, "/ready")
        state = (await client.container_inspect(container)).state
        assert (state.status, state.running, state.paused) == ("running", True, False)
        assert state.pid > 0

        await client.container_pause(container)
        assert (await client.container_inspect(container)).state.paused
        with pytest.raises(EngineConflict, match="already paused"):
            await client.container_pause(container)
        await client.container_unpause(container)
        assert not (await client.container_inspect(container)).state.paused
        with pytest.raises(EngineResponseError, match="not paused"):
            await client.container_unpause(container)

        with pytest.raises(EngineConflict):
            await client.container_delete(container)
        await client.container_stop(container, timeout=10)
        await client.container_stop(container)  # 304
        state = (await client.container_inspect(container)).state
        assert (state.status, state.running, state.exit_code, state.oom_killed) == ("exited", False, 7, False)
        with pytest.raises(EngineConflict, match="not running"):
            await client.container_kill(container)

        await client.container_delete(container)
        with pytest.raises(EngineNotFound):
            await client.container_inspect(container)


@pytest.mark.parametrize(("signal", "code"), [("SIGKILL", 137), ("SIGUSR1", 42)])
async def test_kill_sends_its_signal(client: EngineClient, busybox: str, signal: str, code: int) -> None:
    script = "trap 'exit 42' USR1; touch /ready; while :; do sleep 0.05; done"
    async with running(client, busybox, "sh", "-c", script) as container:
        await wait_for_path(client, container, "/ready")
        await client.container_kill(container, signal=signal)
        assert await wait_exit(client, container) == code


async def wait_for_path(client: EngineClient, container: str, path: str) -> None:
    """Poll until a path is there: what the container does first has happened."""
    while True:
        try:
            await client.container_archive_info(container, path)
        except EngineNotFound:
            continue
        return


async def test_a_forced_removal_takes_anonymous_volumes_along(
    client: EngineClient, raw: RawEngine, busybox: str
) -> None:
    body = ContainerCreateRequest(
        image=busybox, cmd=["sleep", "1000"], host_config=HostConfig(mounts=[Mount(type="volume", target="/data")])
    )
    before = {volume["Name"] for volume in raw.volumes()}
    container = (await client.container_create(body)).id
    (anonymous,) = {volume["Name"] for volume in raw.volumes()} - before
    await client.container_start(container)
    await client.container_delete(container, force=True, volumes=True)
    assert anonymous not in {volume["Name"] for volume in raw.volumes()}


async def test_an_image_that_is_not_here_is_not_found(client: EngineClient) -> None:
    with pytest.raises(EngineNotFound, match="No such image: lightrunner-test/none:1") as caught:
        await client.container_create(ContainerCreateRequest(image="lightrunner-test/none:1"))
    assert (caught.value.operation, caught.value.status) == ("container_create", 404)


async def test_a_name_that_is_taken_is_a_conflict(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "true") as container:
        name = (await client.container_inspect(container)).name.removeprefix("/")
        with pytest.raises(EngineConflict, match="already in use"):
            await client.container_create(ContainerCreateRequest(image=busybox), name=name)


async def test_a_command_that_is_not_there_fails_the_start(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "no-such-program") as container:
        with pytest.raises(EngineResponseError, match="no-such-program") as caught:
            await client.container_start(container)
        assert caught.value.status == 400


async def test_an_unknown_platform_is_refused(client: EngineClient, busybox: str) -> None:
    with pytest.raises(EngineResponseError, match="platform"):
        await client.container_create(ContainerCreateRequest(image=busybox), platform="plan9/mips")


@pytest.mark.parametrize("operation", ["inspect", "start", "kill", "stop", "pause", "unpause", "delete"])
async def test_an_unknown_container_is_not_found(client: EngineClient, operation: str) -> None:
    call = getattr(client, f"container_{operation}")
    with pytest.raises(EngineNotFound, match=f"No such container: {NO_SUCH}"):
        await call(NO_SUCH)


@pytest.mark.parametrize("name", ["", ".", "..", "../images/x", "a/b?c#d", "a b", "%2e%2e", "ä"])
async def test_odd_names_are_names_and_nothing_else(client: EngineClient, name: str) -> None:
    with pytest.raises(EngineResponseError):
        await client.container_inspect(name)
    with pytest.raises(EngineResponseError):
        await client.container_delete(name, force=True)
    with pytest.raises(EngineResponseError):
        await client.volume_inspect(name)
    with pytest.raises(EngineResponseError):
        await client.image_inspect(name)


async def test_a_name_with_dots_does_not_reach_another_kind_of_object(client: EngineClient, busybox: str) -> None:
    async with created(client, busybox, "true") as container:
        with pytest.raises(EngineResponseError):
            await client.image_inspect(f"../containers/{container}")
        with pytest.raises(EngineResponseError):
            await client.image_delete(f"../containers/{container}")
        assert (await client.container_inspect(container)).state.status == "created"
