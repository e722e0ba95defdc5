"""Claim the containers of a service: each goes to one claimer, of however many processes.

A claim is a volume on the container's node whose name comes from the container's id. The daemon makes it for the first
who asks and answers each later one with the first one's labels (2 ms), so a nonce among the labels tells who has won.
Only the winner attaches to the container and writes to it: a line of a loser could arrive behind the winner's dispatch,
in the input of its run. The container then echoes the nonce, and says what the kernel allows it.
"""

import logging
import secrets
import uuid
from collections import deque
from contextlib import AsyncExitStack
from typing import NamedTuple

import trio

from lightrunner.engine import AttachedStream, EngineConflict, EngineError, EngineNotFound, EngineUnreachable
from lightrunner.engine.wire import ContainerConfig, Task, VolumeCreateRequest
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.files.seed import seed
from lightrunner.host.owner import current_owner
from lightrunner.plan import RunPlan
from lightrunner.resources import remove_run, shielded_create
from lightrunner.rules import limits
from lightrunner.rules.gate import claim_script, parse_claim_reply
from lightrunner.runs.phases import Phases

from .cluster import Cluster
from .nodes import NodeDaemon
from .walls import ensure_walls

_log = logging.getLogger("lightrunner")

_POLL = 0.05
"""Seconds between two looks at a service's tasks, while somebody waits for one."""

_MAX_SHARE = 0.1
"""Share of the time that looking may take: a list of 10,000 tasks has some 30 MB."""

_LOOKS_PER_COMPLAINT = 20
"""Tasks that have failed are looked at less often: their list is several times as long."""

_MAX_REPLY_BYTES = 4096


class Claim(NamedTuple):
    """A claimed container, whose gate waits for a dispatch.

    Attributes:
        phases: the run's id, which comes from the container's, and its clock.
        node: where it is.
        container_id: the daemon's id.
        config: the image's configuration.
        takes_input: the image has what a dispatch with input needs.
        attached: the container's streams.
        streams: closes the connection.
    """

    phases: Phases
    node: NodeDaemon
    container_id: str
    config: ContainerConfig
    takes_input: bool
    attached: AttachedStream
    streams: AsyncExitStack

    async def remove(self) -> bool:
        """Remove the container and the mark, if they exist. Shielded and bounded. Return whether both are gone."""
        with self.phases.phase("cleanup"):
            return await remove_run(self.node.engine, self.phases.id, container=self.container_id)


class Claims:
    """Claims the containers of one service.

    Attributes:
        is_strict: report what keeps some of the containers from starting, even while others run.
    """

    def __init__(self, cluster: Cluster, service_id: str, plan: RunPlan) -> None:
        self._cluster = cluster
        self._service_id = service_id
        self._plan = plan
        self.is_strict = True
        self._lock = trio.Lock()
        self._running: deque[Task] = deque()
        self._known = set[str]()
        self._reported = set[str]()
        self._configs: dict[str, ContainerConfig] = {}

    async def claim(self) -> Claim:
        """Claim a container; wait until there is one.

        Raises:
            LightRunnerError: CONTAINER_START_FAILED: Swarm cannot start the containers, or their walls are not the
                sandbox's. DOCKER_UNREACHABLE: no manager answers, or a node's daemon does not.
        """
        while True:
            task = await self._next_task()
            node = await self._cluster.nodes.daemon(task.node_id)
            try:
                if (claim := await self._try(task, node)) is not None:
                    return claim
            except LightRunnerError as error:
                if error.code is not LightRunnerErrorCode.DOCKER_UNREACHABLE or self.is_strict:
                    raise
                # The node may be going down: Swarm then puts another task in this one's place.
                _log.warning("the daemon of the node %s cannot be reached: %s", node.hostname, error)

    async def _next_task(self) -> Task:
        """Wait for a running task that was not tried before."""
        async with self._lock:
            looks = 0
            blocked_since = trio.current_time()
            while not self._running:
                begin = trio.current_time()
                tasks = await self._list_tasks(running=True)
                took = trio.current_time() - begin
                self._known &= {task.id for task in tasks}
                started = [task for task in tasks if task.status.state == "running" and _container(task)]
                self._running.extend(task for task in started if task.id not in self._known)
                self._known.update(task.id for task in started)
                if self._running:
                    break
                if not any(task.status.state == "pending" and task.status.err for task in tasks):
                    blocked_since = trio.current_time()
                if self.is_strict or not started:
                    self._check_placement(tasks, blocked_since)
                    if looks % _LOOKS_PER_COMPLAINT == 1:
                        self._check_starts(await self._list_tasks(running=False))
                looks += 1
                await trio.sleep(max(_POLL, took * (1 / _MAX_SHARE - 1)))
            return self._running.popleft()

    async def _list_tasks(self, *, running: bool) -> list[Task]:
        filters = {"service": [self._service_id], "desired-state": ["running" if running else "shutdown"]}
        with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "task_list"):
            return await self._cluster.managers.call(lambda manager: manager.task_list(filters=filters))

    def _check_placement(self, tasks: list[Task], blocked_since: float) -> None:
        """Raise if Swarm has found no node for a task for a while."""
        if trio.current_time() < blocked_since + limits.PLACEMENT_TIMEOUT:
            return
        for task in tasks:
            if task.status.state == "pending" and task.status.err:
                raise _start_error(f"Swarm has no node for the container: {task.status.err}")

    def _check_starts(self, ended: list[Task]) -> None:
        """Raise if a task has failed before its container ran, once for each."""
        failed = [task for task in ended if _never_ran(task) and task.id not in self._reported]
        self._reported |= {task.id for task in failed}
        for task in failed:
            raise _start_error(task.status.err or task.status.message)

    async def _try(self, task: Task, node: NodeDaemon) -> Claim | None:
        """Claim a task's container; None if it is another's, or has ended."""
        container_id = _container(task)
        phases = Phases(run_id_of(container_id))
        nonce = secrets.token_hex(16)
        labels = {
            limits.LABEL_RUN_ID: phases.id,
            limits.LABEL_OWNER: str(current_owner()),
            limits.LABEL_CLAIM: nonce,
            limits.LABEL_CONTAINER: container_id,
        }
        mark = VolumeCreateRequest(name=limits.NAME_PREFIX + phases.id, labels=labels)
        is_mine = True  # Until the daemon says otherwise: its answer may be lost.
        claim = None
        try:
            with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "volume_create"):
                made = await shielded_create("volume_create", lambda: node.engine.volume_create(mark))
            is_mine = (made.labels or {}).get(limits.LABEL_CLAIM) == nonce
            if is_mine:
                claim = await self._attach(node, container_id, phases, nonce)
        finally:
            if is_mine and claim is None:
                await _forget(node, phases.id, nonce, container_id)
        return claim

    async def _attach(self, node: NodeDaemon, container_id: str, phases: Phases, nonce: str) -> Claim | None:
        engine = node.engine
        code = LightRunnerErrorCode.CONTAINER_START_FAILED
        try:
            async with AsyncExitStack() as stack:
                with mapped_errors(code, "container_attach", container_id=container_id):
                    attach = engine.container_attach(container_id, stdin=True)
                    attached = await stack.enter_async_context(attach)
                    await attached.send_all(claim_script(nonce))
                    reply = parse_claim_reply(nonce, await _first_line(attached))
                if reply is None:
                    return None  # The container has ended, or is not at its gate.
                with mapped_errors(code, "container_inspect", container_id=container_id):
                    container = await ensure_walls(
                        engine, container_id, self._plan, self._cluster.sandbox, reply=reply, hostname=node.hostname
                    )
                    config = await self._image_config(node, container.image)
                user = self._plan.user or config.user
                await seed(engine, container_id, source=None, ignore=(), workdir=self._plan.workdir, user=user)
                streams = stack.pop_all()
        except LightRunnerError as error:
            if isinstance(error.__cause__, (EngineNotFound, EngineConflict)):
                return None  # The container has ended.
            raise
        return Claim(phases, node, container_id, config, reply.takes_input, attached, streams)

    async def _image_config(self, node: NodeDaemon, image: str) -> ContainerConfig:
        key = f"{node.id} {image}"
        if key not in self._configs:
            self._configs[key] = (await node.engine.image_inspect(image)).config or ContainerConfig()
        return self._configs[key]


def run_id_of(container_id: str) -> str:
    """Return the id of the run in a container: every claimer finds the same. It is half of the container's."""
    return str(uuid.UUID(hex=container_id[:32]))


async def _first_line(attached: AttachedStream) -> bytes:
    """Receive a line of stdout; less if it does not come in time, or the output ends."""
    said = b""
    with trio.move_on_after(limits.CLAIM_TIMEOUT):
        while not said.endswith(b"\n") and len(said) < _MAX_REPLY_BYTES and (pieces := await attached.receive()):
            said += b"".join(piece.data for piece in pieces if piece.stream == "stdout")
    return said


async def _forget(node: NodeDaemon, run_id: str, nonce: str, container_id: str) -> None:
    """Remove a container whose claim has failed: somebody's line may be half in its stdin. Then remove the mark."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + limits.CLEANUP_TIMEOUT):
        try:
            volume = await node.engine.volume_inspect(limits.NAME_PREFIX + run_id)
        except EngineNotFound:
            return
        except EngineUnreachable:
            return  # `reap_orphans` finds the mark.
        except EngineError as error:
            _log.warning("the claim of the container %s could not be given up: %s", container_id, error)
            return
        if (volume.labels or {}).get(limits.LABEL_CLAIM) == nonce:
            await remove_run(node.engine, run_id, container=container_id)


def _container(task: Task) -> str:
    return task.status.container_status.container_id if task.status.container_status is not None else ""


def _never_ran(task: Task) -> bool:
    """Whether a task has ended without a process: its image is missing, or the program cannot be started."""
    failed = task.status.state == "failed" and task.status.err.startswith("starting container failed")
    return task.status.state == "rejected" or failed


def _start_error(message: str) -> LightRunnerError:
    return LightRunnerError(LightRunnerErrorCode.CONTAINER_START_FAILED, message, docker_op="service_create")
