"""Structs of the operations on networks. Pure."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from .base import Wire


class ConfigReference(Wire):
    """The config-only network, on each node, that has a swarm's network's options there."""

    network: str


class NetworkCreateRequest(Wire):
    """Body of POST /networks/create."""

    name: str
    driver: str = ""
    check_duplicate: bool = False
    internal: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    scope: str = ""
    config_only: bool = False
    config_from: ConfigReference | UnsetType = UNSET


class NetworkDisconnectRequest(Wire):
    """Body of POST /networks/{id}/disconnect."""

    container: str
    force: bool = False


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
    config_from: ConfigReference | None = None


class NetworkPruneResponse(Wire):
    """POST /networks/prune."""

    networks_deleted: list[str] | None = None


NETWORK = msgspec.json.Decoder(Network)
NETWORK_CREATE = msgspec.json.Decoder(NetworkCreateResponse)
NETWORK_LIST = msgspec.json.Decoder(list[Network])
NETWORK_PRUNE = msgspec.json.Decoder(NetworkPruneResponse)
