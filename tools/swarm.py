"""Start a private swarm: several private engines on one network, joined, which all end together.

Each node is a `PrivateEngine` with a hostname of its own and one interface, whose peer is on a bridge in a hub's
network namespace. The namespace has no process: an open descriptor keeps it, so it cannot outlive its owner, and a
node's interface goes with the node.

    owner ── hub: bridge ── node1 eth0 (manager)
                         ── node2 eth0
                         ── node3 eth0

The nodes have no default route: with one, each task would wait 20 s for the answer of a name server.
"""

import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tools.private_engine import EngineSetup, PrivateEngine, PrivateEngineError, search_path
from tools.raw_engine import RawEngine

if TYPE_CHECKING:
    from lightrunner.engine.wire import Node

SWARM_PORT = 2377

_HUB = "ip link add hub type bridge && ip link set hub up && echo ready && exec cat"

# In the node's namespaces. Process 1 of the process namespace is this script itself.
_ENTER = """
hostname "$NODE"
hub=/proc/self/fd/$HUB
# A node that comes back has its MAC address again: the others would not find it for some seconds. Of an interface that
# the kernel has not removed yet, the name is taken.
nsenter --net="$hub" ip link delete "$NODE" 2>/dev/null || true
nsenter --net="$hub" ip link add "$NODE" type veth peer name eth0 address "$MAC" netns 1
nsenter --net="$hub" ip link set "$NODE" master hub up
ip address add "$ADDRESS/24" dev eth0
ip link set eth0 up
"""


class PrivateSwarm:
    """A private swarm, as a context manager. The first `managers` of its `nodes` are managers.

    `config` is added to the daemon.json of each. A node that crashes (`nodes[i].crash()`) can come back
    (`nodes[i].start()`). `tls` is as `PrivateEngine` takes it, for each. Unless a swarm
    `pulls`, its images are those that are loaded.
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        managers: int = 1,
        setup: EngineSetup | None = None,
        config: Mapping[str, object] | None = None,
        tls: Path | None = None,
        pulls: bool = False,
    ) -> None:
        self.managers = managers
        self._tls = tls
        self._pulls = pulls
        self._size = nodes
        self._config = config
        self._setup = setup or PrivateEngine.default_setup
        self._stack = ExitStack()
        self.nodes: list[PrivateEngine] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            hub = _hub()
            stack.callback(os.close, hub)
            for number in range(1, self._size + 1):
                self.nodes.append(stack.enter_context(self._node(number, hub)))
            self._join_all()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def manager(self) -> PrivateEngine:
        """The first manager."""
        return self.nodes[0]

    @property
    def hosts(self) -> dict[str, str]:
        """The nodes' hostnames, and the URLs of their engines."""
        return {_name(number): node.host for number, node in enumerate(self.nodes, 1)}

    def host_of(self, node: "Node") -> str:
        """Return the URL of a node's engine: the `node_hosts` of a `SwarmRunner`."""
        return self.hosts[node.description.hostname]

    def raw(self) -> list[RawEngine]:
        """An oracle for each node."""
        return [RawEngine(node.host) for node in self.nodes]

    def load(self, ensure: Callable[[RawEngine], str]) -> str:
        """Make sure of an image on each node, and return its tag."""
        (tag,) = {ensure(raw) for raw in self.raw()}
        return tag

    def tasks(self, service: str = "") -> list[dict[str, Any]]:
        """List the tasks of a service, or of all."""
        tasks: list[dict[str, Any]] = RawEngine(self.manager.host).get("/tasks")
        return [task for task in tasks if service in {"", task["ServiceID"]}]

    def _node(self, number: int, hub: int) -> PrivateEngine:
        own = {"NODE": _name(number), "ADDRESS": _address(number), "MAC": _mac(number), "HUB": str(hub)}
        offline = {} if self._pulls else {"DOCKER_SERVICE_PREFER_OFFLINE_IMAGE": "1"}
        setup = replace(
            self._setup,
            enter=self._setup.enter + _ENTER,
            environment={**self._setup.environment, **own, **offline},
            descriptors=[hub],
        )
        return PrivateEngine(setup=setup, config=self._config, tls=self._tls)

    def _join_all(self) -> None:
        first, *others = self.raw()
        first.request("POST", "/swarm/init", json=_listening(1))
        tokens: dict[str, str] = first.get("/swarm")["JoinTokens"]
        for number, raw in enumerate(others, 2):
            token = tokens["Manager" if number <= self.managers else "Worker"]
            remote = {"RemoteAddrs": [f"{_address(1)}:{SWARM_PORT}"], "JoinToken": token}
            raw.request("POST", "/swarm/join", json=_listening(number) | remote)


def _hub() -> int:
    """Make a network namespace with a bridge, and return a descriptor that keeps it."""
    command = ["setpriv", "--pdeathsig=KILL", "unshare", "--net", "sh", "-c", _HUB]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PATH": search_path()}
    ) as hub:
        assert hub.stdout is not None
        if hub.stdout.readline() != b"ready\n":
            raise PrivateEngineError("the bridge between the nodes could not be made")
        return os.open(f"/proc/{hub.pid}/ns/net", os.O_RDONLY)


def _listening(number: int) -> dict[str, object]:
    address = f"{_address(number)}:{SWARM_PORT}"
    return {"ListenAddr": address, "AdvertiseAddr": address}


def _name(number: int) -> str:
    return f"node{number}"


def _address(number: int) -> str:
    return f"10.77.0.{number}"


def _mac(number: int) -> str:
    return f"02:00:0a:4d:00:{number:02x}"  # locally administered
