"""The isolated network: find or create it once, check it, and refer to it by its id."""

import trio

from lightrunner.engine import EngineClient, EngineResponseError
from lightrunner.engine.wire import Network, NetworkCreateRequest
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.resources import shielded_create
from lightrunner.rules.limits import CLEANUP_TIMEOUT, ISOLATED_BRIDGE, ISOLATED_NETWORK, LABEL_KIND

_ICC = "com.docker.network.bridge.enable_icc"
_BRIDGE_NAME = "com.docker.network.bridge.name"
_TAKEN = frozenset({403, 409})
"""The status of a create that has lost a race for the same bridge: 403 on 20.10, 409 since."""


class IsolatedNetwork:
    """The daemon's network without inter-container traffic, for one runner."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine
        self._id: str | None = None
        self._lock = trio.Lock()

    def forget(self) -> None:
        """Forget the network, which was removed. The next `ensure` finds or creates it."""
        self._id = None

    async def ensure(self) -> str:
        """Return the network's id. Create the network if it is missing.

        Raises:
            LightRunnerError: CONTAINER_START_FAILED: also if the network of that name is not a bridge, or allows
                inter-container traffic, or the daemon cannot create one without.
        """
        if self._id is None:
            async with self._lock:
                if self._id is None:
                    with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "network_create"):
                        self._id = await self._find() or await self._create()
        return self._id

    async def _find(self) -> str | None:
        network = await find_isolated(self._engine)
        if network is None:
            return None
        return network.id if is_isolated(network) else _refuse(network)

    async def _create(self) -> str:
        body = NetworkCreateRequest(
            name=ISOLATED_NETWORK,
            driver="bridge",
            check_duplicate=True,
            options={_ICC: "false", _BRIDGE_NAME: ISOLATED_BRIDGE},
            labels={LABEL_KIND: "network"},
        )
        try:
            created = (await shielded_create("network_create", lambda: self._engine.network_create(body))).id
        except EngineResponseError as error:
            if error.status not in _TAKEN:
                raise
            winner = await self._find()  # Another process has created it meanwhile.
            if winner is None:
                raise
            return winner
        if not is_isolated(await self._engine.network_inspect(created)):
            # podman ignores the option, and its containers would reach each other.
            with trio.move_on_after(CLEANUP_TIMEOUT, shield=True):
                await self._engine.network_delete(created)
            raise LightRunnerError(
                LightRunnerErrorCode.CONTAINER_START_FAILED,
                f"the daemon ignores {_ICC}=false, so containers of one network could reach each other (podman does): "
                'use network="none", or the name of a network of yours',
                docker_op="network_create",
            )
        return created


async def find_isolated(engine: EngineClient) -> Network | None:
    """Return the network that runs are on by default, or one that has its name but is not isolated."""
    found = await engine.network_list(filters={"name": [ISOLATED_NETWORK]})
    # The filter matches parts of names, and names are not unique. Sorted, so that all runs use the same network.
    named = sorted((network for network in found if network.name == ISOLATED_NETWORK), key=lambda it: it.id)
    return next(filter(is_isolated, named), named[0] if named else None)


def is_isolated(network: Network) -> bool:
    """Return whether it is a bridge on which containers cannot reach each other."""
    return network.driver == "bridge" and (network.options or {}).get(_ICC) == "false"


def _refuse(network: Network) -> str:
    raise LightRunnerError(
        LightRunnerErrorCode.CONTAINER_START_FAILED,
        f"the network {ISOLATED_NETWORK} ({network.id[:12]}) is not a bridge with {_ICC}=false; remove it, and "
        "lightrunner will create it",
        docker_op="network_list",
    )
