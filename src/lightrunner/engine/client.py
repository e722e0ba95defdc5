"""`EngineClient`: the Engine API, one short method per operation, each named after its operation id.

Each method takes options and returns a struct. The docstring says so if the order of calls matters.
"""

import os
import ssl
from typing import Final, Self
from urllib.parse import quote

from . import wire
from .calls import Calls, Filters, filters_text
from .connection import Connect
from .containers import Containers
from .contexts import current_context
from .endpoint import Endpoint, TlsFiles, find_endpoint
from .errors import EngineEndpointError
from .images import Images
from .swarm import Swarms
from .tls import tls_context

_PRUNE_ALL_VERSION: Final = (1, 42)
"""From this version on, a prune spares named volumes unless the filter ``all`` is set. Earlier versions refuse that
filter."""


class EngineClient(Containers, Images, Swarms):
    """A client of one Docker daemon. Use as ``async with``.

    Args:
        host: ``unix:///path``, ``tcp://host:port`` or ``ssh://user@host``; None: `find_endpoint` chooses.
        tls: the TLS context for a TCP address; None: as the environment or the Docker CLI's context says.
        connect: opens the connections, in place of `host` and `tls`.

    Resource handling: a client owns connections, not tasks. The first call negotiates the API version, and so does the
    first call after a lost connection.

    Error handling: every method raises `EngineUnreachable` if the daemon cannot be reached or the connection is lost,
    `EngineProtocolError` if the response is not the Engine API's, and `EngineResponseError` (`EngineNotFound`,
    `EngineConflict`) if the daemon responds with an error status.

    Raises:
        EngineEndpointError: the daemon's address or a certificate file cannot be used.
    """

    def __init__(
        self, host: str | None = None, *, tls: ssl.SSLContext | None = None, connect: Connect | None = None
    ) -> None:
        if connect is not None:
            if host is not None or tls is not None:
                raise EngineEndpointError("connect: it takes the place of host and tls")
            endpoint = Endpoint(socket="", address="connect")
        else:
            endpoint = find_endpoint(host, os.environ, current_context=current_context)
        if tls is not None:
            if endpoint.socket or endpoint.ssh is not None:
                raise EngineEndpointError(f"tls: {endpoint} is not a TCP address; only tcp:// takes a TLS context")
            endpoint = endpoint._replace(tls=TlsFiles())
        elif endpoint.tls is not None:
            tls = tls_context(endpoint.tls)
        self.endpoint = endpoint
        self._calls = Calls(endpoint, tls, connect)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._calls.aclose()

    # --- system ---------------------------------------------------------------------------------------------------

    async def system_ping(self) -> str:
        """Ping the daemon. Return the newest API version that it speaks, such as ``1.41``.

        Raises:
            EngineUnreachable: also if the daemon does not respond within 5 s.
        """
        return await self._calls.ping()

    async def api_version(self) -> str:
        """Return the API version that calls use, such as ``1.41``.

        Raises:
            EngineProtocolError: the daemon is too old.
        """
        return ".".join(map(str, await self._calls.api_version()))

    async def is_podman(self) -> bool:
        """Return whether podman responds in the place of a Docker daemon. It says so when it is pinged."""
        return await self._calls.is_podman()

    async def system_version(self) -> wire.SystemVersion:
        """Return the daemon's versions. This takes some 50 ms: dockerd runs three programs for it."""
        return wire.decode(
            wire.SYSTEM_VERSION, "system_version", await self._calls.call("system_version", "GET", "/version")
        )

    async def system_info(self) -> wire.SystemInfo:
        """Return the daemon's configuration, and information about its host."""
        return wire.decode(wire.SYSTEM_INFO, "system_info", await self._calls.call("system_info", "GET", "/info"))

    async def system_events(self, *, since: float, until: float, filters: Filters | None = None) -> list[wire.Event]:
        """Return the daemon's events between two moments, in seconds since the epoch by its own clock.

        The daemon keeps the last 256 events. If `until` is still to come, it answers then.
        """
        query = {"since": f"{since:.9f}", "until": f"{until:.9f}", "filters": filters_text(filters)}
        reply = await self._calls.call("system_events", "GET", "/events", query=query)
        return wire.decode_lines(wire.EVENT, "system_events", reply)

    # --- volumes --------------------------------------------------------------------------------------------------

    async def volume_create(self, body: wire.VolumeCreateRequest) -> wire.Volume:
        """Create a volume, or return the one that has the name already."""
        reply = await self._calls.call("volume_create", "POST", "/volumes/create", json=body)
        return wire.decode(wire.VOLUME, "volume_create", reply)

    async def volume_inspect(self, name: str) -> wire.Volume:
        """Return a volume.

        Raises:
            EngineNotFound: there is no such volume.
        """
        reply = await self._calls.call("volume_inspect", "GET", f"/volumes/{quote(name, safe='')}")
        return wire.decode(wire.VOLUME, "volume_inspect", reply)

    async def volume_list(self, *, filters: Filters | None = None) -> list[wire.Volume]:
        """Return all volumes, or those that match the filters."""
        reply = await self._calls.call("volume_list", "GET", "/volumes", query={"filters": filters_text(filters)})
        return wire.decode(wire.VOLUME_LIST, "volume_list", reply).volumes or []

    async def volume_delete(self, name: str, *, force: bool = False) -> None:
        """Remove a volume.

        Raises:
            EngineNotFound: there is no such volume.
            EngineConflict: a container uses it.
        """
        await self._calls.call("volume_delete", "DELETE", f"/volumes/{quote(name, safe='')}", query={"force": force})

    async def volume_prune(self, *, filters: Filters | None = None) -> wire.VolumePruneResponse:
        """Remove the volumes that no container uses, named ones included."""
        if await self._calls.api_version() >= _PRUNE_ALL_VERSION:
            filters = {"all": ["true"], **(filters or {})}
        reply = await self._calls.call(
            "volume_prune", "POST", "/volumes/prune", query={"filters": filters_text(filters)}
        )
        return wire.decode(wire.VOLUME_PRUNE, "volume_prune", reply)

    # --- networks -------------------------------------------------------------------------------------------------

    async def network_create(self, body: wire.NetworkCreateRequest) -> wire.NetworkCreateResponse:
        """Create a network. The daemon accepts a name that is taken; the device name of a bridge is unique."""
        reply = await self._calls.call("network_create", "POST", "/networks/create", json=body)
        return wire.decode(wire.NETWORK_CREATE, "network_create", reply)

    async def network_inspect(self, network: str) -> wire.Network:
        """Return a network, by its id or name.

        Raises:
            EngineNotFound: there is no such network.
        """
        reply = await self._calls.call("network_inspect", "GET", f"/networks/{quote(network, safe='')}")
        return wire.decode(wire.NETWORK, "network_inspect", reply)

    async def network_list(self, *, filters: Filters | None = None) -> list[wire.Network]:
        """Return all networks, or those that match the filters. The filter ``name`` matches parts of names."""
        reply = await self._calls.call("network_list", "GET", "/networks", query={"filters": filters_text(filters)})
        return wire.decode(wire.NETWORK_LIST, "network_list", reply)

    async def network_delete(self, network: str) -> None:
        """Remove a network.

        Raises:
            EngineNotFound: there is no such network.
        """
        await self._calls.call("network_delete", "DELETE", f"/networks/{quote(network, safe='')}")

    async def network_disconnect(self, network: str, body: wire.NetworkDisconnectRequest) -> None:
        """Take a container off a network, also while it runs."""
        path = f"/networks/{quote(network, safe='')}/disconnect"
        await self._calls.call("network_disconnect", "POST", path, json=body)

    async def network_prune(self, *, filters: Filters | None = None) -> wire.NetworkPruneResponse:
        """Remove the networks that no container uses."""
        reply = await self._calls.call(
            "network_prune", "POST", "/networks/prune", query={"filters": filters_text(filters)}
        )
        return wire.decode(wire.NETWORK_PRUNE, "network_prune", reply)
