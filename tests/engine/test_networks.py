"""Networks: create, inspect, list, use, remove, prune."""

from collections.abc import Iterator

import pytest

from lightrunner.engine import EngineClient, EngineNotFound, EngineResponseError
from lightrunner.engine.wire import ContainerCreateRequest, HostConfig, NetworkCreateRequest
from tests.engine.containers import FOREVER
from tools.raw_engine import RawEngine

NAME = "lightrunner-test-network"
LABEL = "lightrunner-test.network"
BRIDGE = "com.docker.network.bridge.name"


@pytest.fixture
def no_network(raw: RawEngine) -> Iterator[None]:
    """After the test there is none of that name."""
    yield
    for network in raw.get("/networks", filters=f'{{"label": ["{LABEL}"]}}'):
        raw.request("DELETE", f"/networks/{network['Id']}")


@pytest.mark.usefixtures("no_network")
async def test_create_inspect_list_delete(client: EngineClient, raw: RawEngine) -> None:
    options = {BRIDGE: "lrtest0", "com.docker.network.bridge.enable_icc": "false"}
    body = NetworkCreateRequest(
        name=NAME, driver="bridge", check_duplicate=True, internal=True, options=options, labels={LABEL: "yes"}
    )
    network_id = (await client.network_create(body)).id
    seen = raw.get(f"/networks/{network_id}")
    told = await client.network_inspect(NAME)
    assert (told.id, told.name, told.driver, told.scope) == (network_id, NAME, "bridge", "local")
    assert (told.internal, told.options, told.labels) == (True, options, {LABEL: "yes"})
    assert (told.created, told.containers) == (seen["Created"], {})
    assert [network.id for network in await client.network_list(filters={"name": [NAME]})] == [network_id]
    assert {"bridge", "host", "none", NAME} <= {network.name for network in await client.network_list()}
    await client.network_delete(network_id)
    with pytest.raises(EngineNotFound, match=NAME):
        await client.network_inspect(NAME)


@pytest.mark.usefixtures("no_network")
async def test_a_bridge_that_is_taken_is_refused(client: EngineClient) -> None:
    options = {BRIDGE: "lrtest0"}
    await client.network_create(NetworkCreateRequest(name=NAME, options=options, labels={LABEL: ""}))
    with pytest.raises(EngineResponseError, match="lrtest0") as caught:
        await client.network_create(NetworkCreateRequest(name=f"{NAME}-2", options=options, labels={LABEL: ""}))
    assert caught.value.status in {403, 409}


async def test_an_unknown_network_is_not_found(client: EngineClient, busybox: str, raw: RawEngine) -> None:
    with pytest.raises(EngineNotFound):
        await client.network_delete(NAME)
    # It is created all the same, and does not start.
    body = ContainerCreateRequest(image=busybox, host_config=HostConfig(network_mode=NAME))
    container = (await client.container_create(body)).id
    try:
        with pytest.raises(EngineNotFound, match=f"network {NAME} not found"):
            await client.container_start(container)
    finally:
        raw.remove_container(container)


@pytest.mark.usefixtures("no_network")
async def test_a_network_in_use_stays(client: EngineClient, raw: RawEngine, busybox: str) -> None:
    network_id = (await client.network_create(NetworkCreateRequest(name=NAME, labels={LABEL: "used"}))).id
    body = ContainerCreateRequest(image=busybox, cmd=list(FOREVER), host_config=HostConfig(network_mode=NAME))
    container = (await client.container_create(body)).id
    try:
        await client.container_start(container)
        assert (await client.network_inspect(network_id)).containers is not None
        assert container in ((await client.network_inspect(network_id)).containers or {})
        with pytest.raises(EngineResponseError, match="has active endpoints") as caught:
            await client.network_delete(network_id)
        assert caught.value.status == 403
        assert not (await client.network_prune(filters={"label": [f"{LABEL}=used"]})).networks_deleted
    finally:
        raw.remove_container(container)
    assert (await client.network_prune(filters={"label": [f"{LABEL}=used"]})).networks_deleted == [NAME]
