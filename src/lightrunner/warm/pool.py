"""Warm pools: started containers, each waiting for one run."""

import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import NamedTuple

import trio

from lightrunner.admission import Admission
from lightrunner.engine import AttachedStream, EngineClient
from lightrunner.engine.wire import ContainerConfig
from lightrunner.errors import (
    LightRunnerError,
    LightRunnerErrorCode,
    invalid_request,
    mapped_errors,
    warn_of_dropped_env,
)
from lightrunner.files.seed import check_source, seed
from lightrunner.init.volume import InitVolume
from lightrunner.networks.allocation import Networks, allocation_of
from lightrunner.networks.pause_containers import PauseContainer
from lightrunner.nurseries import open_bare_nursery, protected, run_in_child
from lightrunner.plan import RunPlan, Sandbox, check_request
from lightrunner.pool import PoolSize, SingleUsePool
from lightrunner.requests import RunRequest
from lightrunner.results import LogCallback, OutputCallback, RunResult, Timings
from lightrunner.rules.gate import dispatch_script, gate_script
from lightrunner.rules.limits import CLEANUP_TIMEOUT, CREATE_TIMEOUT, WARM_REFILL_DELAY
from lightrunner.rules.violation import RuleViolation
from lightrunner.runs.command import run_command
from lightrunner.runs.dispatch import send_dispatch
from lightrunner.runs.output import Listeners
from lightrunner.runs.prepare import Preparation
from lightrunner.runs.run import StartedStatus
from lightrunner.runs.secrets import hand_over, secrets_command, secrets_folder
from lightrunner.runs.supervise import StartedContainer, Supervisor, start_container
from lightrunner.telemetry import observed_run


class WarmContainer(NamedTuple):
    """A started container whose gate waits for a command.

    Attributes:
        pause_container: the pause container whose network it joins; None without one.
        watched: streams that are silent while the container waits: its own, and its pause container's.
        streams: closes the container's connections.
    """

    preparation: Preparation
    pause_container: PauseContainer | None
    container: StartedContainer
    config: ContainerConfig
    watched: list[AttachedStream]
    streams: AsyncExitStack


class WarmPool:
    """Runs requests in containers that have already started. `DockerRunner.warm` creates it.

    Each container is used once, and is like a cold run's: same image, network, workdir, limits and capabilities. Its
    program sees only the run's input on stdin, and only the run's environment.
    """

    def __init__(
        self,
        engine: EngineClient,
        networks: Networks,
        template: RunPlan,
        sandbox: Sandbox,
        size: PoolSize,
        *,
        init_volume: InitVolume,
        limiter: trio.CapacityLimiter | None,
    ) -> None:
        self._engine = engine
        self._networks = networks
        self._template = template
        self._sandbox = sandbox
        self._init_volume = init_volume
        self._admission = Admission(limiter, "pool")
        self._can_prepare = False
        self._pool: SingleUsePool[WarmContainer] = SingleUsePool(
            self._make, self._discard, _is_waiting, size=size, delay=WARM_REFILL_DELAY
        )

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["WarmPool"]:
        """Fill the pool, and empty it at the end of the block.

        The end waits for runs in progress. An exception or a cancellation aborts them.
        """
        # With the network "none" there is little to destroy, and a pause container gains nothing.
        network, runtime = self._template.network, self._sandbox.runtime
        self._can_prepare = (
            network != "none"
            and not self._template.names_hosts
            and await self._networks.pause_containers.can_prepare(runtime)
        )
        async with self._pool.open(), self._admission.block():
            yield self
            self._pool.close()  # The runs that are under way go on.

    async def run(
        self,
        request: RunRequest,
        *,
        on_log: LogCallback | None = None,
        on_output: OutputCallback | None = None,
        task_status: StartedStatus = trio.TASK_STATUS_IGNORED,
    ) -> RunResult:
        """Run one request as `DockerRunner.run` does, but in a started container.

        What a container is created with must be the template's: image, setup steps, network, workdir, platform, user,
        hostname, extra hosts and labels. The time-out counts from the
        dispatch. If no container is ready, wait for one.

        Raises:
            LightRunnerError: as `DockerRunner.run`. INVALID_REQUEST also if the request differs from the template.
        """
        with invalid_request():
            plan = check_request(request)
            check_template(plan, request, self._template)
        await check_source(plan.source)
        warn_of_dropped_env(plan.dropped_env)
        async with self._admission.admitted():
            return await run_in_child(self._run, plan, Listeners(on_log, on_output), task_status)

    async def _run(self, plan: RunPlan, listeners: Listeners, task_status: StartedStatus) -> RunResult:
        warm = await self._pool.take()
        with observed_run("warm", warm.preparation.id, warm.container.id) as observation:
            result = await self._run_in(warm, plan, listeners, task_status)
            observation.ended(result)
        return result

    async def _run_in(
        self, warm: WarmContainer, plan: RunPlan, listeners: Listeners, task_status: StartedStatus
    ) -> RunResult:
        outcome: RunResult | Exception | None = None
        supervisor: Supervisor | None = None
        try:
            # From here on the run owns the connections: if the pool closes, only one task may close them.
            async with warm.streams.pop_all():
                warm.preparation.timings = Timings()  # The preparation's times do not belong to the run.
                if plan.source is not None:
                    await self._seed(warm, plan, plan.source)
                container, stdin = await _dispatched(warm, plan)
                supervisor = Supervisor(
                    self._engine,
                    warm.preparation,
                    container,
                    plan,
                    self._sandbox,
                    listeners=listeners,
                    stdin=stdin,
                )
                task_status.started(supervisor.execution)
                result = outcome = await supervisor.result()
        except Exception as error:
            outcome = error
            raise
        finally:
            await warm.preparation.remove()
            self._pool.discard_used(warm)
            if supervisor is not None:
                supervisor.execution.finish(outcome)
        return result

    async def _seed(self, warm: WarmContainer, plan: RunPlan, source: str) -> None:
        """Copy the folder into the running container.

        This uses the archive endpoint, as a cold run does. ``tar x`` through the gate's stdin takes 5 ms instead of 50,
        but needs tar in the image, and the files would belong to the image's user. The endpoint's races with a running
        container (CVE-2018-15664) need a process that moves folders meanwhile, and only the gate is running.
        The workdir is writable for the container's user already.
        """
        with warm.preparation.phase("seed"):
            await seed(
                self._engine,
                warm.container.id,
                source=source,
                ignore=plan.ignore,
                workdir=plan.workdir,
                user="",
            )

    async def _make(self) -> WarmContainer:
        nonce = secrets.token_hex(16)
        plan = self._template._replace(
            entrypoint=gate_script(nonce),
            source=None,
            input=b"",
            env=[],
            extracts=(),
            capture_output=False,
            tty_size=None,
        )
        preparation = Preparation(self._engine, self._networks, plan, self._sandbox, on_progress=None)
        image = await preparation.ensure_image()
        if plan.secrets is not None:
            volume = await self._init_volume.ensure()
            preparation.adapt = await secrets_folder(self._engine, plan, image, volume)
        # With a pause container the exit does not wait for the network namespace's destruction: 62 ms to the result
        # instead of 105. But two containers take longer to make than one, so not while a run waits for this one.
        pause_container = None
        if self._can_prepare and not self._pool.has_waiters:
            pause_container = await self._networks.pause_containers.make(plan.network)

        async def start(container_id: str) -> WarmContainer:
            async with AsyncExitStack() as stack:
                with _shell_needed(container_id):
                    started = await stack.enter_async_context(
                        start_container(self._engine, preparation, container_id, attach=True, stdin=True)
                    )
                assert started.attached is not None
                await _wait_at_gate(started.attached, nonce, container_id)
                watched = [started.attached]
                # After a second attempt the container has its own network.
                if pause_container is not None and preparation.pause_container is pause_container:
                    attach = self._engine.container_attach(pause_container.container_id)
                    with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_attach"):
                        watched.append(await stack.enter_async_context(attach))
                streams = stack.pop_all()
            return WarmContainer(preparation, pause_container, started, image.config, watched, streams)

        is_ready = False
        try:
            # Not from a block of prepared networks: that block may end before the pool, and would then wait for it.
            if pause_container is not None:
                allocation = allocation_of(pause_container)
            else:
                allocation = await self._networks.allocate(plan.network, prepared=False)
            warm = await preparation.use_container(image, start, allocation=allocation)
            is_ready = True
        finally:
            if not is_ready:
                await preparation.remove()
                await self._release(pause_container)
        return warm

    async def _discard(self, warm: WarmContainer) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEANUP_TIMEOUT):
            await warm.streams.aclose()
        async with open_bare_nursery() as nursery:
            nursery.start_soon(protected, warm.preparation.remove)
            nursery.start_soon(protected, self._release, warm.pause_container)

    async def _release(self, pause_container: PauseContainer | None) -> None:
        if pause_container is not None:
            await self._networks.pause_containers.discard(pause_container)


async def _wait_at_gate(attached: AttachedStream, nonce: str, container_id: str) -> None:
    """Wait until the gate has printed the nonce. Its output, stderr included, belongs to no run."""
    expected, said = f"{nonce}\n".encode(), b""
    with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_attach", container_id=container_id):
        with trio.move_on_after(CREATE_TIMEOUT):
            while expected.startswith(said) and (pieces := await attached.receive()):
                said += b"".join(piece.data for piece in pieces if piece.stream == "stdout")
                if said == expected:
                    return
    shown = said[:500].decode(errors="replace")
    raise _shell_error(f"the gate script printed {shown!r} instead of its nonce", container_id)


@contextmanager
def _shell_needed(container_id: str) -> Generator[None]:
    try:
        yield
    except LightRunnerError as error:
        if error.docker_op == "container_start" and '"sh"' in error.message:
            raise _shell_error(error.message, container_id) from error
        raise


def _shell_error(why: str, container_id: str) -> LightRunnerError:
    return LightRunnerError(
        LightRunnerErrorCode.CONTAINER_START_FAILED,
        f"a warm container needs a POSIX shell (sh) in the image: {why}",
        docker_op="container_start",
        container_id=container_id,
    )


def _is_waiting(warm: WarmContainer) -> bool:
    # A readable stream means that the container has ended, or its pause container, and with it the network.
    return not any(stream.is_readable() for stream in warm.watched)


def check_template(plan: RunPlan, request: RunRequest, template: RunPlan) -> None:
    """Check that a request needs such a container as the template makes.

    Raises:
        RuleViolation: it does not.
    """
    if plan.tty_size is not None:
        raise RuleViolation("tty", request.tty, "a warm container has no terminal")
    if plan.secrets is not None and template.secrets is None:
        reason = "the warm pool's template has none: give it some, and each request may have its own"
        raise RuleViolation("secrets", plan.secrets, reason)
    for field, given, expected in (
        ("image", plan.image, template.image),
        ("run", plan.steps, template.steps),
        ("network", plan.network, template.network),
        ("workdir", plan.workdir, template.workdir),
        ("platform", plan.platform, template.platform),
        ("pull", plan.pull, template.pull),
        ("user", plan.user, template.user),
        ("hostname", plan.hostname, template.hostname),
        ("extra_hosts", plan.extra_hosts, template.extra_hosts),
        ("labels", plan.labels, template.labels),
    ):
        if given != expected:
            raise RuleViolation(field, getattr(request, field), "differs from the warm pool's template")


async def _dispatched(warm: WarmContainer, plan: RunPlan) -> tuple[StartedContainer, list[bytes]]:
    """Dispatch a run, and hand over its secrets. Return its container, and what is left to write to its stdin.

    The run starts with the dispatch, or when its secrets are written.
    """
    container = warm.container
    assert container.attached is not None
    command = run_command(plan, warm.config)
    env, image_env = plan.env, warm.config.env or []
    has_input = plan.input is not None
    if plan.secrets is None:
        since = trio.current_time()
        script = dispatch_script(command, env, image_env, has_input=has_input)
        left = await send_dispatch(container.attached, script)
    else:
        script = dispatch_script(secrets_command(command), env, image_env, has_input=True)
        start = await hand_over(
            container.attached, plan.secrets, has_input=has_input, container_id=container.id, opening=script
        )
        since, left = trio.current_time(), [start]
    return container._replace(since=since), [*left, plan.input or b""]
