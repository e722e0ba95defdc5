"""Find out who killed a container, where the daemon is late to tell."""

from datetime import datetime

import trio

from lightrunner.engine import EngineClient, EngineResponseError
from lightrunner.engine.wire import ContainerState
from lightrunner.rules.limits import KILL_NOTICE_TIMEOUT
from lightrunner.rules.verdict import Evidence, is_unexplained

_POLL = 0.05


async def explained(engine: EngineClient, container_id: str, state: ContainerState, evidence: Evidence) -> Evidence:
    """Return the evidence, with what the daemon tells within `KILL_NOTICE_TIMEOUT` of a SIGKILL that nothing explains.

    The notice of an OOM kill takes another way than the exit (containerd's ``/tasks/oom``) and may lose the race. The
    daemon's events also have the SIGKILL of another client. They are not the only source: the daemon keeps 256.

    Raises:
        EngineError: the daemon failed, other than by refusing.
    """
    begin = trio.current_time()
    while is_unexplained(evidence):
        waited = trio.current_time() - begin
        try:
            late = (await engine.container_inspect(container_id)).state
            evidence = evidence._replace(oom_killed=late.oom_killed)
            evidence = evidence._replace(killed_by_others=await _was_killed(engine, container_id, state, waited))
        except (EngineResponseError, ValueError):
            # A proxy that keeps the events to itself, a container that was removed, or times of no known format.
            return evidence
        if waited > KILL_NOTICE_TIMEOUT:
            break
        await trio.sleep(_POLL)
    return evidence


async def _was_killed(engine: EngineClient, container_id: str, state: ContainerState, waited: float) -> bool:
    """Whether the daemon's events have a SIGKILL for the container, up to `waited` seconds after its exit.

    Not up to now: the daemon's clock may be another one, and it would wait for a moment that is still to come.
    """
    since, until = (datetime.fromisoformat(moment).timestamp() for moment in (state.started_at, state.finished_at))
    filters = {"type": ["container"], "container": [container_id], "event": ["kill"]}
    events = await engine.system_events(since=since, until=until + waited, filters=filters)
    return any(event.actor.attributes.get("signal") in {"9", "SIGKILL", "KILL"} for event in events)
