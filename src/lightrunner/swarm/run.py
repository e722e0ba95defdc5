"""One run in a claimed container, on its node's own daemon."""

import trio

from lightrunner.engine import EngineError
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.files.seed import seed
from lightrunner.nurseries import open_bare_nursery, protected
from lightrunner.plan import RunPlan
from lightrunner.results import RunResult
from lightrunner.rules.gate import dispatch_script
from lightrunner.rules.limits import NODE_WATCH_PAUSE
from lightrunner.runs.command import run_command
from lightrunner.runs.dispatch import send_dispatch
from lightrunner.runs.output import Listeners
from lightrunner.runs.run import StartedStatus
from lightrunner.runs.supervise import StartedContainer, Supervisor
from lightrunner.telemetry import observed_run

from .claims import Claim
from .cluster import Cluster
from .nodes import NodeDaemon, Nodes


async def run_claimed(
    claim: Claim, cluster: Cluster, plan: RunPlan, *, listeners: Listeners, task_status: StartedStatus
) -> RunResult:
    """Dispatch a request to a claimed container, supervise it, and remove the container.

    Raises:
        LightRunnerError: NODE_LOST: the node's daemon cannot be reached, or the managers say that the node is down.
            The container is then left to Swarm. Otherwise as a run on one machine.
    """
    with observed_run("warm", claim.phases.id, claim.container_id) as observation:
        result = await _run(claim, cluster, plan, listeners=listeners, task_status=task_status)
        observation.ended(result)
    return result


async def _run(
    claim: Claim, cluster: Cluster, plan: RunPlan, *, listeners: Listeners, task_status: StartedStatus
) -> RunResult:
    outcome: RunResult | Exception | None = None
    supervisor: Supervisor | None = None
    is_lost = False
    try:
        # From here on the run owns the connection: if the pool closes, only one task may close it.
        async with claim.streams.pop_all():
            script = _dispatch(claim, plan)
            if plan.source is not None:
                with claim.phases.phase("seed"):
                    await seed(
                        claim.node.engine,
                        claim.container_id,
                        source=plan.source,
                        ignore=plan.ignore,
                        workdir=plan.workdir,
                        user="",
                    )
            container = StartedContainer(claim.container_id, claim.attached, trio.current_time())
            left = await send_dispatch(claim.attached, script)
            supervisor = Supervisor(
                claim.node.engine,
                claim.phases,
                container,
                plan,
                cluster.sandbox,
                listeners=listeners,
                stdin=[*left, plan.input or b""],
                closes_stdin=False,
            )
            task_status.started(supervisor.execution)
            async with open_bare_nursery() as nursery:
                nursery.start_soon(protected, _watch, cluster.nodes, claim.node)
                result = outcome = await supervisor.result()
                nursery.cancel_scope.cancel()
    except LightRunnerError as error:
        outcome = error
        is_lost = error.code is LightRunnerErrorCode.NODE_LOST
        if error.code is LightRunnerErrorCode.DOCKER_UNREACHABLE:
            is_lost = True
            outcome = _lost(claim.node, f"its daemon cannot be reached: {error.message}")
            raise outcome from error
        raise
    except Exception as error:
        outcome = error
        raise
    finally:
        if not is_lost:
            await claim.remove()
        if supervisor is not None:
            supervisor.execution.finish(outcome)
    return result


def _dispatch(claim: Claim, plan: RunPlan) -> bytes:
    if plan.input is not None and not claim.takes_input:
        raise LightRunnerError(
            LightRunnerErrorCode.CONTAINER_START_FAILED,
            "input: on a swarm the image needs head, mkfifo and rm, since a service's stdin has no end",
            container_id=claim.container_id,
        )
    return dispatch_script(
        run_command(plan, claim.config),
        plan.env,
        claim.config.env or [],
        has_input=plan.input is not None,
        input_bytes=None if plan.input is None else len(plan.input),
    )


async def _watch(nodes: Nodes, node: NodeDaemon) -> None:
    """Raise if the managers lose the node. A machine without power ends no connection."""
    while True:
        await trio.sleep(NODE_WATCH_PAUSE)
        try:
            is_down = await nodes.is_down(node.id)
        except EngineError:
            continue  # The managers cannot tell, and the run does not need them.
        if is_down:
            raise _lost(node, "the swarm's managers say that it is down")


def _lost(node: NodeDaemon, why: str) -> LightRunnerError:
    return LightRunnerError(
        LightRunnerErrorCode.NODE_LOST,
        f"the node {node.hostname} was lost during the run, which may go on there: {why}",
    )
