"""Structs of the operations on networks. Pure."""

from typing import Any

import msgspec

from .base import Wire


class NetworkCreateRequest(Wire):
    """Body of POST /networks/create."""

    name: str
    driver: str = ""
    check_duplicate: bool = False
    internal: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class NetworkCreateResponse(Wire):
    """Response of POST /networks/create."""

    id: str


class Network(Wire):
    """A network."""

    name: str
    id: str
    created: str = ""
    driver: str = ""
    scope: str = ""
    internal: bool = False
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    containers: dict[str, Any] | None = None


class NetworkPruneResponse(Wire):
    """POST /networks/prune."""

    networks_deleted: list[str] | None = None


NETWORK = msgspec.json.Decoder(Network)
NETWORK_CREATE = msgspec.json.Decoder(NetworkCreateResponse)
NETWORK_LIST = msgspec.json.Decoder(list[Network])
NETWORK_PRUNE = msgspec.json.Decoder(NetworkPruneResponse)
