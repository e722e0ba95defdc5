"""Reap what dead processes left on a swarm: their services, and the marks of their claims."""

from contextlib import suppress

from lightrunner.engine import EngineConflict, EngineNotFound
from lightrunner.errors import LightRunnerErrorCode, mapped_errors
from lightrunner.host.owner import is_dead, parse_owner
from lightrunner.results import ReapResult
from lightrunner.rules import limits

from .cluster import Cluster
from .nodes import NodeDaemon
from .service import KIND, remove_service

_SERVICES = {"label": [f"{limits.LABEL_KIND}={KIND}"]}
_MARKS = {"label": [limits.LABEL_CLAIM]}


async def reap_swarm(cluster: Cluster, *, dry_run: bool) -> ReapResult:
    """Remove services of dead processes of this host, and containers that such a process had claimed.

    Swarm replaces the containers of a service that lives on.
    """
    with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "service_list"):
        services = await cluster.managers.call(lambda manager: manager.service_list(filters=_SERVICES))
    orphans = [service for service in services if _is_orphan(service.spec.labels)]
    for service in orphans:
        if not dry_run:
            await remove_service(cluster, service.spec.name, service.id)
    marks: list[str] = []
    for daemon in await cluster.nodes.all():
        with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "volume_list"):
            marks += await _reap_marks(daemon, dry_run=dry_run)
    return ReapResult(tuple(service.spec.name for service in orphans), tuple(marks))


async def _reap_marks(daemon: NodeDaemon, *, dry_run: bool) -> list[str]:
    orphans = [one for one in await daemon.engine.volume_list(filters=_MARKS) if _is_orphan(one.labels)]
    for mark in orphans:
        if not dry_run:
            # The container first: without its mark it could be claimed, with half of a dead claimer's line in it.
            with suppress(EngineNotFound, EngineConflict):
                container = (mark.labels or {}).get(limits.LABEL_CONTAINER, "")
                await daemon.engine.container_delete(container, force=True, volumes=True)
            with suppress(EngineNotFound):
                await daemon.engine.volume_delete(mark.name)
    return [mark.name for mark in orphans]


def _is_orphan(labels: dict[str, str] | None) -> bool:
    owner = parse_owner((labels or {}).get(limits.LABEL_OWNER, ""))
    return owner is not None and is_dead(owner) is True
