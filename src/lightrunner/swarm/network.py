"""The network of a service: the isolated one on all nodes, a bridge that is left at the claim, or a named one.

Swarm attaches a task to a network of its own scope, or to the predefined bridge; there is no "none". A swarm-scoped
bridge takes its options on each node from a config-only network there, which is how inter-container traffic is turned
off.
"""

import trio

from lightrunner.engine import EngineClient, EngineConflict
from lightrunner.engine.wire import ConfigReference, NetworkCreateRequest
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.resources import shielded_create
from lightrunner.rules.limits import LABEL_KIND

from .cluster import Cluster

BRIDGE = "bridge"
"""The predefined network of each node. A run without a network starts on it, and is taken off it at the claim."""

ISOLATED = "light-runner-isolated-swarm"
"""The swarm's network. It stays, as the isolated network of one machine does."""

_CONFIG = "light-runner-isolated-config"
_ALLOCATION_TIMEOUT, _ALLOCATION_PAUSE = 5.0, 0.05
_NO_TRAFFIC = {"com.docker.network.bridge.enable_icc": "false"}
_LABELS = {LABEL_KIND: "network"}


async def ensure_network(cluster: Cluster, network: str | None) -> str:
    """Make sure of a request's network, and return its name for the service.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED: the isolated network cannot be made, or is another's.
    """
    if network == "none":
        return BRIDGE
    if network is not None:
        return network
    async with open_bare_nursery() as nursery:
        for daemon in await cluster.nodes.all():
            nursery.start_soon(protected, _ensure_config, daemon.engine, daemon.hostname)
    with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "network_create"):
        await cluster.managers.call(_ensure_isolated)
    return ISOLATED


async def _ensure_config(engine: EngineClient, hostname: str) -> None:
    body = NetworkCreateRequest(
        name=_CONFIG, config_only=True, check_duplicate=True, options=_NO_TRAFFIC, labels=_LABELS
    )
    with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "network_create"):
        try:
            if not await engine.network_list(filters={"name": [_CONFIG]}):
                await shielded_create("network_create", lambda: engine.network_create(body))
        except EngineConflict:  # Somebody else was faster.
            pass
        found = await engine.network_list(filters={"name": [_CONFIG]})
    if any(network.options != _NO_TRAFFIC for network in found):
        raise _error(f"the network {_CONFIG} on the node {hostname} does not turn inter-container traffic off")


async def _ensure_isolated(engine: EngineClient) -> None:
    body = NetworkCreateRequest(
        name=ISOLATED,
        driver="bridge",
        scope="swarm",
        check_duplicate=True,
        config_from=ConfigReference(network=_CONFIG),  # The daemon then refuses labels.
    )
    try:
        found = [one for one in await engine.network_list(filters={"name": [ISOLATED]}) if one.name == ISOLATED]
        if not found:
            await shielded_create("network_create", lambda: engine.network_create(body))
    except EngineConflict:
        pass
    network = await engine.network_inspect(ISOLATED)
    with trio.move_on_after(_ALLOCATION_TIMEOUT):
        while not network.driver:  # Until the leader has allocated it, a moment after its creation.
            await trio.sleep(_ALLOCATION_PAUSE)
            network = await engine.network_inspect(ISOLATED)
    source = network.config_from.network if network.config_from is not None else ""
    if (network.driver, network.scope, source) != ("bridge", "swarm", _CONFIG):
        found_one = f"driver {network.driver!r}, scope {network.scope!r}, configured from {source!r}"
        raise _error(f"the network {ISOLATED} is not the swarm's isolated one ({found_one}); remove it")


def _error(message: str) -> LightRunnerError:
    return LightRunnerError(LightRunnerErrorCode.CONTAINER_START_FAILED, message, docker_op="network_create")
