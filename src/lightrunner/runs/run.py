"""One cold run, from top to bottom. Start reading here.

    prepare: image, network, create, seed -> attach, start -> output and exit -> extract -> removal

The removal happens in every case.
"""

from collections.abc import AsyncIterable

import trio

from lightrunner.engine import EngineClient
from lightrunner.errors import LightRunnerError
from lightrunner.init.volume import InitVolume, is_program_missing
from lightrunner.networks.allocation import Networks
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.results import ProgressCallback, RunResult
from lightrunner.telemetry import observed_run

from .command import run_command
from .handle import Execution
from .measure import measured
from .output import NO_LISTENERS, Listeners
from .prepare import Preparation
from .secrets import hand_over, secrets_folder, taking_secrets
from .supervise import StartedContainer, Supervisor, start_container

StartedStatus = trio.TaskStatus[Execution]


class Run:
    """One run of a checked request. Call `run` once."""

    def __init__(
        self,
        engine: EngineClient,
        networks: Networks,
        plan: RunPlan,
        sandbox: Sandbox,
        *,
        listeners: Listeners = NO_LISTENERS,
        on_progress: ProgressCallback | None = None,
        init_volume: InitVolume,
        stdin: AsyncIterable[bytes] | None = None,
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._sandbox = sandbox
        self._listeners = listeners
        self._preparation = Preparation(engine, networks, plan, sandbox, on_progress=on_progress)
        self._init_volume = init_volume
        # A terminal has one stream, in which a report would be seen.
        self._is_measured = sandbox.usage and plan.tty_size is None
        self._source = stdin
        self._execution: Execution | None = None

    async def run(self, task_status: StartedStatus) -> RunResult:
        """Run the request, and remove everything that it created.

        Raises:
            LightRunnerError: a phase failed; nothing is left on the daemon.
            Exception: from a callback.
        """
        with observed_run("cold", self._preparation.id) as observation:
            result = await self._run(task_status)
            observation.ended(result)
        return result

    async def _run(self, task_status: StartedStatus) -> RunResult:
        outcome: RunResult | Exception | None = None
        try:
            result = outcome = await self._live(task_status)
        except Exception as error:
            outcome = error
            raise
        finally:
            await self._preparation.remove()
            if self._execution is not None:
                self._execution.finish(outcome)
        return result

    async def _live(self, task_status: StartedStatus) -> RunResult:
        # Setup steps may need a build. An image of another platform has to be replaced, and only an inspect can tell.
        # Process 1 of a measured run has to be told the image's own command, and secrets need the image's user.
        plan, preparation = self._plan, self._preparation
        needs_config = plan.secrets is not None or (self._is_measured and plan.entrypoint is None)
        first = plan.steps or plan.platform or plan.pull == "always" or needs_config
        image = await preparation.ensure_image() if first else None
        if self._is_measured:
            config = image.config if image is not None else None
            preparation.measured = measured(plan, config, await self._init_volume.ensure())
        if plan.secrets is not None and image is not None:
            folder = await secrets_folder(self._engine, plan, image, await self._init_volume.ensure())
            preparation.adapt = taking_secrets(folder, run_command(plan, image.config))
        try:
            return await preparation.use_container(image, lambda made: self._use(made, task_status))
        except LightRunnerError as error:
            if not is_program_missing(error):
                raise
        await preparation.remove()
        await self._init_volume.ensure(repair=True)
        return await preparation.use_container(image, lambda made: self._use(made, task_status))

    async def _use(self, container_id: str, task_status: StartedStatus) -> RunResult:
        plan = self._plan
        has_stdin = plan.input is not None or plan.secrets is not None
        is_read = self._listeners.are_there or plan.capture_output or plan.output_limit is not None
        attach = has_stdin or is_read or self._is_measured
        async with start_container(
            self._engine, self._preparation, container_id, attach=attach, stdin=has_stdin, tty=plan.tty_size is not None
        ) as container:
            stdin = await self._stdin(container)
            # Without secrets, the command runs since the container's start.
            since = container.since if plan.secrets is None else trio.current_time()
            supervisor = Supervisor(
                self._engine,
                self._preparation,
                container._replace(since=since),
                self._plan,
                self._sandbox,
                listeners=self._listeners,
                stdin=stdin,
                stdin_source=self._source,
            )
            self._execution = supervisor.execution
            task_status.started(self._execution)
            return await supervisor.result()

    async def _stdin(self, container: StartedContainer) -> list[bytes]:
        """Hand over the secrets. Return what else goes to stdin."""
        stdin = [self._plan.input] if self._plan.input is not None else []
        secrets, attached = self._plan.secrets, container.attached
        if secrets is None or attached is None:
            return stdin
        with self._preparation.phase("start"):
            start = await hand_over(attached, secrets, has_input=bool(stdin), container_id=container.id)
        return [start, *stdin]
