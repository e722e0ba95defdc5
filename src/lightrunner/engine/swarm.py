"""The operations on swarms, nodes, services and tasks: one short method each, named after its operation id.

All but `swarm_init` and `swarm_join` need a manager. A manager that does not lead passes them on to the leader.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote

from . import wire
from .calls import Calls, Filters, filters_text
from .registries import RegistryAuth, auth_headers
from .streams import OutputStream


class Swarms:
    """The swarm operations of `EngineClient`."""

    _calls: Calls

    # --- the swarm ------------------------------------------------------------------------------------------------

    async def swarm_init(self, body: wire.SwarmInitRequest) -> str:
        """Make the daemon the first manager of a new swarm. Return the node's id.

        Raises:
            EngineResponseError: 503: the daemon is in a swarm already.
        """
        return wire.decode(
            wire.SWARM_INIT, "swarm_init", await self._calls.call("swarm_init", "POST", "/swarm/init", json=body)
        )

    async def swarm_join(self, body: wire.SwarmJoinRequest) -> None:
        """Make the daemon a node of a swarm."""
        await self._calls.call("swarm_join", "POST", "/swarm/join", json=body)

    async def swarm_inspect(self) -> wire.Swarm:
        """Return the swarm that the daemon manages.

        Raises:
            EngineResponseError: 503: the daemon manages no swarm.
        """
        return wire.decode(wire.SWARM, "swarm_inspect", await self._calls.call("swarm_inspect", "GET", "/swarm"))

    # --- nodes ----------------------------------------------------------------------------------------------------

    async def node_list(self, *, filters: Filters | None = None) -> list[wire.Node]:
        """Return all nodes, or those that match the filters."""
        reply = await self._calls.call("node_list", "GET", "/nodes", query={"filters": filters_text(filters)})
        return wire.decode(wire.NODE_LIST, "node_list", reply)

    async def node_inspect(self, node: str) -> wire.Node:
        """Return a node, by its id or name.

        Raises:
            EngineNotFound: there is no such node.
        """
        reply = await self._calls.call("node_inspect", "GET", f"/nodes/{quote(node, safe='')}")
        return wire.decode(wire.NODE, "node_inspect", reply)

    async def node_update(self, node: str, version: int, spec: wire.NodeSpec) -> None:
        """Change a node: its availability, role or labels. `node` is its id, `version` the index of what is changed.

        Raises:
            EngineResponseError: the version is out of date (500 on 20.10).
        """
        path = f"/nodes/{quote(node, safe='')}/update"
        await self._calls.call("node_update", "POST", path, query={"version": version}, json=spec)

    # --- services -------------------------------------------------------------------------------------------------

    async def service_create(self, spec: wire.ServiceSpec, *, auth: RegistryAuth | None = None) -> str:
        """Create a service, and return its id. The swarm starts its tasks later.

        Args:
            spec: the service.
            auth: the credentials with which the nodes pull its image; the swarm keeps them with the service.

        Raises:
            EngineConflict: the name is taken.
        """
        container = spec.task_template.container_spec
        headers = auth_headers(auth, "" if container is None else container.image)
        reply = await self._calls.call("service_create", "POST", "/services/create", json=spec, headers=headers)
        return wire.decode(wire.SERVICE_CREATE, "service_create", reply).id

    async def service_inspect(self, service: str) -> wire.Service:
        """Return a service, by its id or name.

        Raises:
            EngineNotFound: there is no such service.
        """
        reply = await self._calls.call("service_inspect", "GET", f"/services/{quote(service, safe='')}")
        return wire.decode(wire.SERVICE, "service_inspect", reply)

    async def service_list(self, *, filters: Filters | None = None) -> list[wire.Service]:
        """Return all services, or those that match the filters."""
        reply = await self._calls.call("service_list", "GET", "/services", query={"filters": filters_text(filters)})
        return wire.decode(wire.SERVICE_LIST, "service_list", reply)

    async def service_update(self, service: str, version: int, spec: wire.ServiceSpec) -> wire.ServiceUpdateResponse:
        """Change a service. Send its whole spec: `version` is the index of the one that it replaces.

        Raises:
            EngineNotFound: there is no such service.
            EngineResponseError: the version is out of date (500 on 20.10).
        """
        path = f"/services/{quote(service, safe='')}/update"
        reply = await self._calls.call("service_update", "POST", path, query={"version": version}, json=spec)
        return wire.decode(wire.SERVICE_UPDATE, "service_update", reply)

    async def service_delete(self, service: str) -> None:
        """Remove a service. Its nodes end and remove its containers later.

        Raises:
            EngineNotFound: there is no such service.
        """
        await self._calls.call("service_delete", "DELETE", f"/services/{quote(service, safe='')}")

    @asynccontextmanager
    async def service_logs(
        self, service: str, *, follow: bool = False, stdout: bool = True, stderr: bool = True
    ) -> AsyncGenerator[OutputStream]:
        """Read the output of a service's tasks on all nodes, each from its start; their order is none."""
        path = f"/services/{quote(service, safe='')}/logs"
        query = {"follow": follow, "stdout": stdout, "stderr": stderr}
        async with self._calls.stream("service_logs", "GET", path, query=query) as response:
            yield OutputStream(response)

    # --- tasks ----------------------------------------------------------------------------------------------------

    async def task_list(self, *, filters: Filters | None = None) -> list[wire.Task]:
        """Return all tasks, or those that match the filters ``service``, ``node``, ``desired-state`` …

        Tasks that have ended are among them, up to the swarm's history limit.
        """
        reply = await self._calls.call("task_list", "GET", "/tasks", query={"filters": filters_text(filters)})
        return wire.decode(wire.TASK_LIST, "task_list", reply)

    async def task_inspect(self, task: str) -> wire.Task:
        """Return a task, by its id.

        Raises:
            EngineNotFound: there is no such task.
        """
        reply = await self._calls.call("task_inspect", "GET", f"/tasks/{quote(task, safe='')}")
        return wire.decode(wire.TASK, "task_inspect", reply)
