"""Volumes: create, inspect, list, use, remove, prune."""

from collections.abc import Iterator

import pytest

from lightrunner.engine import EngineClient, EngineConflict, EngineNotFound
from lightrunner.engine.wire import ContainerCreateRequest, HostConfig, Mount, VolumeCreateRequest
from tools.raw_engine import RawEngine

NAME = "lightrunner-test-volume"
LABEL = "lightrunner-test.volume"


@pytest.fixture
def no_volume(raw: RawEngine) -> Iterator[None]:
    """After the test there is none of that name."""
    yield
    raw.remove_volume(NAME)


@pytest.mark.usefixtures("no_volume")
async def test_create_inspect_list_delete(client: EngineClient, raw: RawEngine) -> None:
    made = await client.volume_create(VolumeCreateRequest(name=NAME, labels={LABEL: "yes"}))
    expected = raw.get(f"/volumes/{NAME}")
    assert (made.name, made.driver, made.labels) == (NAME, "local", {LABEL: "yes"})
    assert (made.mountpoint, made.created_at, made.scope) == (expected["Mountpoint"], expected["CreatedAt"], "local")
    assert await client.volume_inspect(NAME) == made
    assert await client.volume_create(VolumeCreateRequest(name=NAME)) == made, "the one of that name"
    assert [volume.name for volume in await client.volume_list(filters={"label": [f"{LABEL}=yes"]})] == [NAME]
    assert await client.volume_list(filters={"label": [f"{LABEL}=no"]}) == []
    assert NAME in {volume.name for volume in await client.volume_list()}
    await client.volume_delete(NAME)
    assert NAME not in {volume["Name"] for volume in raw.volumes()}


async def test_an_unknown_volume_is_not_found(client: EngineClient) -> None:
    with pytest.raises(EngineNotFound, match="no such volume"):
        await client.volume_inspect("lightrunner-test-none")
    with pytest.raises(EngineNotFound, match="no such volume"):
        await client.volume_delete("lightrunner-test-none")
    await client.volume_delete("lightrunner-test-none", force=True)


@pytest.mark.usefixtures("no_volume")
async def test_a_volume_in_use_is_a_conflict(client: EngineClient, raw: RawEngine, busybox: str) -> None:
    host_config = HostConfig(mounts=[Mount(type="volume", source=NAME, target="/data")])
    body = ContainerCreateRequest(image=busybox, host_config=host_config)
    container = (await client.container_create(body)).id
    try:
        for force in (False, True):
            with pytest.raises(EngineConflict, match="volume is in use"):
                await client.volume_delete(NAME, force=force)
    finally:
        raw.remove_container(container)


@pytest.mark.usefixtures("no_volume")
async def test_prune_removes_what_the_filter_chooses(client: EngineClient) -> None:
    await client.volume_create(VolumeCreateRequest(name=NAME, labels={LABEL: "prune"}))
    nothing = await client.volume_prune(filters={"label": [f"{LABEL}=other"]})
    assert (nothing.volumes_deleted or [], nothing.space_reclaimed) == ([], 0)
    assert (await client.volume_prune(filters={"label": [f"{LABEL}=prune"]})).volumes_deleted == [NAME]
    with pytest.raises(EngineNotFound):
        await client.volume_inspect(NAME)
