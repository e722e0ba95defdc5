"""What a claimed container has to be, before it gets a request's code.

A service's spec asks for the limits, and daemons drop what their version does not know without a word. So the node's
own daemon, and the kernel through the gate, have the last word.
"""

from collections.abc import Generator

from lightrunner.engine import EngineClient, EngineNotFound
from lightrunner.engine.wire import ContainerInspectResponse, ContainerUpdateRequest, NetworkDisconnectRequest
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.rules.gate import ClaimReply
from lightrunner.rules.limits import DEFAULT_RUNTIME, DROPPED_CAPABILITIES

from .network import BRIDGE


async def ensure_walls(
    engine: EngineClient, container_id: str, plan: RunPlan, sandbox: Sandbox, *, reply: ClaimReply, hostname: str
) -> ContainerInspectResponse:
    """Set what a service cannot ask for, check everything, and return the container.

    Raises:
        EngineError: the daemon failed.
        LightRunnerError: CONTAINER_START_FAILED: a wall is missing; the message names it, and the node.
    """
    if plan.network == "none":
        try:
            await engine.network_disconnect(BRIDGE, NetworkDisconnectRequest(container=container_id, force=True))
        except EngineNotFound:
            raise _error(hostname, ["the network cannot be left"]) from None
    container = await engine.container_inspect(container_id)
    if container.host_config.memory_swap != sandbox.memory_bytes:
        # Swarm leaves it unset, and the container could swap as much again.
        body = ContainerUpdateRequest(memory=sandbox.memory_bytes, memory_swap=sandbox.memory_bytes)
        await engine.container_update(container_id, body)
        container = await engine.container_inspect(container_id)
    if missing := list(missing_walls(container, plan, sandbox, reply)):
        raise _error(hostname, missing)
    return container


def missing_walls(
    container: ContainerInspectResponse, plan: RunPlan, sandbox: Sandbox, reply: ClaimReply
) -> Generator[str]:
    """Name each wall of the sandbox that a container does not have. Pure."""
    config = container.host_config
    # A kernel without swap accounting has no limit of swap to report.
    if config.memory != sandbox.memory_bytes or config.memory_swap not in {sandbox.memory_bytes, 0, -1}:
        yield f"the memory limit is {config.memory} and {config.memory_swap} with swap, not {sandbox.memory_bytes}"
    if config.nano_cpus != sandbox.nano_cpus:
        yield f"the CPU limit is {config.nano_cpus / 1e9:g}, not {sandbox.nano_cpus / 1e9:g}"
    if config.pids_limit != sandbox.pids:
        yield f"the process limit is {config.pids_limit}, not {sandbox.pids}: Swarm sets it from API 1.41 on"
    dropped = {name.removeprefix("CAP_") for name in config.cap_drop or ()}
    if kept := set(DROPPED_CAPABILITIES) - dropped:
        yield f"the capabilities {', '.join(sorted(kept))} are not dropped: Swarm drops them from API 1.41 on"
    if sandbox.no_new_privileges and reply.no_new_privileges is not True:
        yield (
            "no_new_privileges does not hold: Swarm sets it from API 1.44 (Docker 25) on; before that, put "
            '"no-new-privileges": true into the daemon.json of each node'
        )
    if config.readonly_rootfs != sandbox.read_only:
        yield f"read_only is {config.readonly_rootfs}"
    if sandbox.runtime not in {DEFAULT_RUNTIME, config.runtime}:
        yield f"the runtime is {config.runtime}: make {sandbox.runtime} the default-runtime of each node's daemon"
    networks = sorted(container.network_settings.networks or {})
    if plan.network == "none" and networks:
        yield f"it is on the networks {', '.join(networks)}"
    if plan.network is None and BRIDGE in networks:
        yield "it is on the default bridge, with inter-container traffic"


def _error(hostname: str, missing: list[str]) -> LightRunnerError:
    message = f"the containers on the node {hostname} are not isolated as they have to be: {'; '.join(missing)}"
    return LightRunnerError(LightRunnerErrorCode.CONTAINER_START_FAILED, message, docker_op="container_inspect")
