"""The Engine API, one short method per operation, each named after its operation id.

Options in, a struct out; what the daemon refuses raises `EngineResponseError`. Where the order of calls matters the
docstring says so.
"""

import os
import ssl
from typing import Final, Self
from urllib.parse import quote

from . import wire
from .calls import Calls, Filters, filters_text
from .containers import Containers
from .contexts import current_context
from .endpoint import TlsFiles, find_endpoint
from .errors import EngineEndpointError
from .images import Images
from .tls import tls_context

_PRUNE_ALL_VERSION: Final = (1, 42)
"""Since this version a prune spares named volumes unless it is asked for all; earlier ones refuse that filter."""


class EngineClient(Containers, Images):
    """A client of one Docker daemon. Use as ``async with``; it owns connections, and no tasks.

    Args:
        host: ``unix:///path``, ``tcp://host:port`` or ``ssh://user@host``; None: as `find_endpoint` chooses.
        tls: for a TCP address, in place of what the environment says about TLS.

    Error handling: every method raises `EngineUnreachable` where the daemon cannot be reached or the connection is
    lost, `EngineProtocolError` where it answers something that is not the Engine API, and `EngineResponseError`
    (`EngineNotFound`, `EngineConflict`) where it refuses. The API version is agreed on with the first call, and again
    after a lost connection.

    Raises:
        EngineEndpointError: `host`, what the environment names, or a certificate's file cannot be used.
    """

    def __init__(self, host: str | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        endpoint = find_endpoint(host, os.environ, current_context=current_context)
        if tls is not None:
            if endpoint.socket or endpoint.ssh is not None:
                raise EngineEndpointError(f"tls: {endpoint} is not a TCP address")
            endpoint = endpoint._replace(tls=TlsFiles())
        elif endpoint.tls is not None:
            tls = tls_context(endpoint.tls)
        self.endpoint = endpoint
        self._calls = Calls(endpoint, tls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._calls.aclose()

    # --- system ---------------------------------------------------------------------------------------------------

    async def system_ping(self) -> str:
        """The newest API version that the daemon speaks, such as ``1.41``.

        Raises:
            EngineUnreachable: also where there is no answer within 5 s.
        """
        return await self._calls.ping()

    async def system_version(self) -> wire.SystemVersion:
        """The daemon's versions."""
        return wire.decode(
            wire.SYSTEM_VERSION, "system_version", await self._calls.call("system_version", "GET", "/version")
        )

    async def system_info(self) -> wire.SystemInfo:
        """The daemon's configuration and its host."""
        return wire.decode(wire.SYSTEM_INFO, "system_info", await self._calls.call("system_info", "GET", "/info"))

    # --- volumes --------------------------------------------------------------------------------------------------

    async def volume_create(self, body: wire.VolumeCreateRequest) -> wire.Volume:
        """Create a volume, or find the one of that name."""
        reply = await self._calls.call("volume_create", "POST", "/volumes/create", json=body)
        return wire.decode(wire.VOLUME, "volume_create", reply)

    async def volume_inspect(self, name: str) -> wire.Volume:
        """A volume."""
        reply = await self._calls.call("volume_inspect", "GET", f"/volumes/{quote(name, safe='')}")
        return wire.decode(wire.VOLUME, "volume_inspect", reply)

    async def volume_list(self, *, filters: Filters | None = None) -> list[wire.Volume]:
        """All volumes, or those that the filters choose."""
        reply = await self._calls.call("volume_list", "GET", "/volumes", query={"filters": filters_text(filters)})
        return wire.decode(wire.VOLUME_LIST, "volume_list", reply).volumes or []

    async def volume_delete(self, name: str, *, force: bool = False) -> None:
        """Remove a volume.

        Raises:
            EngineConflict: a container uses it.
        """
        await self._calls.call("volume_delete", "DELETE", f"/volumes/{quote(name, safe='')}", query={"force": force})

    async def volume_prune(self, *, filters: Filters | None = None) -> wire.VolumePruneResponse:
        """Remove the volumes, named ones included, that no container uses."""
        if await self._calls.api_version() >= _PRUNE_ALL_VERSION:
            filters = {"all": ["true"], **(filters or {})}
        reply = await self._calls.call(
            "volume_prune", "POST", "/volumes/prune", query={"filters": filters_text(filters)}
        )
        return wire.decode(wire.VOLUME_PRUNE, "volume_prune", reply)

    # --- networks -------------------------------------------------------------------------------------------------

    async def network_create(self, body: wire.NetworkCreateRequest) -> wire.NetworkCreateResponse:
        """Create a network. Names are not unique; a bridge's device name is."""
        reply = await self._calls.call("network_create", "POST", "/networks/create", json=body)
        return wire.decode(wire.NETWORK_CREATE, "network_create", reply)

    async def network_inspect(self, network: str) -> wire.Network:
        """A network."""
        reply = await self._calls.call("network_inspect", "GET", f"/networks/{quote(network, safe='')}")
        return wire.decode(wire.NETWORK, "network_inspect", reply)

    async def network_list(self, *, filters: Filters | None = None) -> list[wire.Network]:
        """All networks, or those that the filters choose. The filter ``name`` matches parts of names."""
        reply = await self._calls.call("network_list", "GET", "/networks", query={"filters": filters_text(filters)})
        return wire.decode(wire.NETWORK_LIST, "network_list", reply)

    async def network_delete(self, network: str) -> None:
        """Remove a network."""
        await self._calls.call("network_delete", "DELETE", f"/networks/{quote(network, safe='')}")

    async def network_prune(self, *, filters: Filters | None = None) -> wire.NetworkPruneResponse:
        """Remove the networks that no container uses."""
        reply = await self._calls.call(
            "network_prune", "POST", "/networks/prune", query={"filters": filters_text(filters)}
        )
        return wire.decode(wire.NETWORK_PRUNE, "network_prune", reply)
