"""The service whose containers wait for runs: its spec, and its life on the swarm."""

import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import trio

from lightrunner.engine import EngineConflict, EngineError, EngineNotFound, EngineUnreachable, registry_of, wire
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.host.owner import current_owner
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.resources import shielded_create
from lightrunner.rules import limits
from lightrunner.rules.gate import claimable_gate_script

from .cluster import Cluster
from .managers import Managers
from .nodes import NodeDaemon
from .options import SwarmOptions

_log = logging.getLogger("lightrunner")

KIND = "swarm"
"""The value of `LABEL_KIND` on services and their containers."""

SERVICE_LABEL = "com.docker.swarm.service.id"
"""Swarm's own, on each container of a service."""

_RESTART_DELAY = wire.NANOSECONDS // 10
"""A replacement follows soon, and a service whose image is missing does not spin."""

_ONCE_DELAY = 10 * wire.NANOSECONDS
"""The service of one run is gone before its container would be replaced, unless the container's node is lost. (The task
of a job, or of a service that replaces nothing, is not placed anew if its node is lost: seen on 20.10.)"""

_AT_ONCE = 1
"""Nanoseconds of grace. A shell that is process 1 takes no notice of SIGTERM, and Swarm would wait for 10 s."""

_GONE_PAUSE = 0.05


def service_spec(
    plan: RunPlan,
    sandbox: Sandbox,
    options: SwarmOptions,
    *,
    name: str,
    owner: str,
    image: str,
    network: str,
    size: int,
    once: bool,
) -> wire.ServiceSpec:
    """Build the service of a template, with all limits of the sandbox that a service can have. Pure.

    Args:
        plan: the template.
        sandbox: checked options.
        options: the options that only a swarm has.
        name: the service's name.
        owner: the process that owns the service, as `lightrunner.host.owner` writes it.
        image: what `ServiceImages.ensure` returned.
        network: what `ensure_network` returned.
        size: the number of containers, each replaced when it ends.
        once: whether each is for one run, and needs no replacement after it.
    """
    tmpfs = {**sandbox.tmpfs}
    if sandbox.read_only and plan.workdir != "/tmp":  # noqa: S108  # a path in the container
        tmpfs = {"/tmp": f"size={sandbox.memory_bytes // 2}", **tmpfs}  # noqa: S108
    mounts = [wire.Mount(type="volume", target=plan.workdir)]  # Anonymous: it goes with its container.
    mounts += [
        wire.Mount(type="tmpfs", target=path, tmpfs_options=wire.TmpfsOptions(size_bytes=_tmpfs_bytes(text)))
        for path, text in tmpfs.items()
    ]
    room = wire.ResourceReservations(nano_cpus=sandbox.nano_cpus, memory_bytes=sandbox.memory_bytes)
    return wire.ServiceSpec(
        name=name,
        labels={limits.LABEL_KIND: KIND, limits.LABEL_OWNER: owner},
        mode=wire.ServiceMode(replicated=wire.ReplicatedService(replicas=size)),
        endpoint_spec=wire.EndpointSpec(mode="dnsrr"),
        task_template=wire.TaskSpec(
            container_spec=wire.ContainerSpec(
                image=image,
                command=["sh", "-c", claimable_gate_script()],
                labels={**plan.labels, limits.LABEL_KIND: KIND},
                hostname=plan.hostname or "",
                dir=plan.workdir,
                user=plan.user or "",
                open_stdin=True,
                read_only=sandbox.read_only,
                privileges=wire.Privileges(no_new_privileges=True) if sandbox.no_new_privileges else None,
                mounts=mounts,
                stop_grace_period=_AT_ONCE,
                hosts=[_hosts_line(entry) for entry in plan.extra_hosts] or None,
                capability_drop=list(limits.DROPPED_CAPABILITIES),
                ulimits=[wire.Ulimit(name=one.name, soft=one.soft, hard=one.hard) for one in sandbox.ulimits],
            ),
            resources=wire.Resources(
                limits=wire.ResourceLimits(
                    nano_cpus=sandbox.nano_cpus, memory_bytes=sandbox.memory_bytes, pids=sandbox.pids
                ),
                reservations=room if options.reserve else None,
            ),
            restart_policy=wire.RestartPolicy(condition="any", delay=_ONCE_DELAY if once else _RESTART_DELAY),
            placement=wire.Placement(constraints=list(options.constraints)) if options.constraints else None,
            networks=[wire.NetworkAttachment(target=network)],
            log_driver=wire.LogDriver(name="none"),
        ),
    )


@asynccontextmanager
async def running_service(
    cluster: Cluster,
    plan: RunPlan,
    *,
    image: str,
    network: str,
    size: int,
    once: bool = False,
) -> AsyncGenerator[str]:
    """Create a service, and remove it at the end with its containers. Yield its id.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED: the swarm refuses it.
    """
    name = limits.NAME_PREFIX + str(uuid.uuid4())
    owner = str(current_owner())
    managers, sandbox = cluster.managers, cluster.sandbox
    spec = service_spec(
        plan, sandbox, cluster.options, name=name, owner=owner, image=image, network=network, size=size, once=once
    )
    auth = sandbox.registry_auth.get(registry_of(image))

    async def create() -> str:
        try:
            return await managers.call(lambda manager: manager.service_create(spec, auth=auth))
        except EngineConflict:  # The answer to an earlier call was lost: nobody else knows the name.
            return (await managers.call(lambda manager: manager.service_inspect(name))).id

    service_id = ""
    try:
        with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "service_create"):
            service_id = await shielded_create("service_create", create)
        yield service_id
    finally:
        await remove_service(cluster, name, service_id)


async def remove_service(cluster: Cluster, name: str, service_id: str) -> None:
    """Remove a service and its containers. Shielded and bounded; what fails is logged."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + limits.CLEANUP_TIMEOUT) as scope:
        try:
            with suppress(EngineNotFound):
                await cluster.managers.call(lambda manager: manager.service_delete(name))
            if service_id:
                await _remove_containers(cluster, service_id)
        except (EngineError, LightRunnerError) as error:
            _log.error("the service %s could not be removed: %s", name, error)
    if scope.cancelled_caught:
        _log.error("the service %s could not be removed within %g s", name, limits.CLEANUP_TIMEOUT)


async def _remove_containers(cluster: Cluster, service_id: str) -> None:
    """Remove a removed service's containers, and wait for those that are being made.

    Swarm would remove them too, some seconds later, but tells nobody when.
    """
    async with open_bare_nursery() as nursery:
        for daemon in await cluster.nodes.all():
            nursery.start_soon(protected, _remove_from, cluster.managers, daemon, service_id)


async def _remove_from(managers: Managers, daemon: NodeDaemon, service_id: str) -> None:
    filters = {"label": [f"{SERVICE_LABEL}={service_id}"]}
    tasks_of_node = {"node": [daemon.id]}  # A filter for a service that is gone is an error.
    try:
        while True:
            tasks = await managers.call(lambda manager: manager.task_list(filters=tasks_of_node))
            containers = await daemon.engine.container_list(all=True, filters=filters)
            for container in containers:
                with suppress(EngineNotFound, EngineConflict):  # Swarm is at it.
                    await daemon.engine.container_delete(container.id, force=True, volumes=True)
            if not containers and not any(task.service_id == service_id and _may_run(task) for task in tasks):
                return
            await trio.sleep(_GONE_PAUSE)
    except EngineUnreachable as error:
        _log.warning("the node %s removes its containers when it is back: %s", daemon.hostname, error)


def _may_run(task: wire.Task) -> bool:
    return task.status.state in {"assigned", "accepted", "preparing", "ready", "starting", "running"}


def _hosts_line(entry: str) -> str:
    """Turn ``name:address`` into a line of /etc/hosts."""
    name, _, address = entry.partition(":")
    return f"{address} {name}"


def _tmpfs_bytes(options: str) -> int:
    """Return the size in a tmpfs' options, which `check_swarm_options` has checked."""
    return int(options.removeprefix("size="))
