"""The nodes of a swarm, and clients of their own daemons."""

import ssl
from typing import NamedTuple

from lightrunner.engine import EngineClient
from lightrunner.engine.wire import Node
from lightrunner.errors import LightRunnerErrorCode, invalid_request, mapped_errors

from .managers import Managers
from .options import NodeHosts, node_host


class NodeDaemon(NamedTuple):
    """A node, and its daemon."""

    id: str
    hostname: str
    engine: EngineClient


class Nodes:
    """The daemons of a swarm's nodes, each connected to when it is first needed."""

    def __init__(self, managers: Managers, hosts: NodeHosts, tls: ssl.SSLContext | None) -> None:
        self._managers = managers
        self._hosts = hosts
        self._tls = tls
        self._daemons: dict[str, NodeDaemon] = {}

    async def daemon(self, node_id: str) -> NodeDaemon:
        """Return a node's daemon.

        Raises:
            LightRunnerError: INVALID_REQUEST: `node_hosts` gives no usable address for it. RUN_FAILED or
                DOCKER_UNREACHABLE: no manager knows it.
        """
        if node_id not in self._daemons:
            with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "node_inspect"):
                node = await self._managers.call(lambda manager: manager.node_inspect(node_id))
            self._add(node)
        return self._daemons[node_id]

    async def all(self) -> list[NodeDaemon]:
        """Return the daemons of all nodes that are not down.

        Raises:
            LightRunnerError: as `daemon`.
        """
        with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "node_list"):
            nodes = await self._managers.call(lambda manager: manager.node_list())
        present = [node for node in nodes if node.status.state != "down"]
        for node in present:
            self._add(node)
        return [self._daemons[node.id] for node in present]

    async def is_down(self, node_id: str) -> bool:
        """Whether the managers have lost a node."""
        node = await self._managers.call(lambda manager: manager.node_inspect(node_id))
        return node.status.state == "down"

    async def aclose(self) -> None:
        """Close all connections."""
        for daemon in self._daemons.values():
            await daemon.engine.aclose()

    def _add(self, node: Node) -> None:
        if node.id not in self._daemons:
            with invalid_request():
                host = node_host(self._hosts, node)
                tls = self._tls if host.startswith("tcp://") else None
                engine = EngineClient(host, tls=tls)
            self._daemons[node.id] = NodeDaemon(node.id, node.description.hostname or node.id, engine)
