"""One cold run, from top to bottom. Start reading here.

    prepare: image, network, create, seed -> attach, start -> output and exit -> extract -> removal

The removal happens in every case.
"""

import trio

from lightrunner.engine import EngineClient
from lightrunner.init.volume import InitVolume
from lightrunner.networks.allocation import Networks
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.results import ProgressCallback, RunResult
from lightrunner.telemetry import observed_run

from .handle import Execution
from .measure import measured
from .output import NO_LISTENERS, Listeners
from .prepare import Preparation
from .supervise import Supervisor, start_container

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
        init_volume: InitVolume | None = None,
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._sandbox = sandbox
        self._listeners = listeners
        self._preparation = Preparation(engine, networks, plan, sandbox, on_progress=on_progress)
        # A terminal has one stream, in which a report would be seen.
        self._init_volume = init_volume if sandbox.usage and plan.tty_size is None else None
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
        # Process 1 of a measured run has to be told the image's own command.
        needs_command = self._init_volume is not None and self._plan.entrypoint is None
        needs_image = self._plan.steps or self._plan.platform or self._plan.pull == "always"
        first = needs_image or needs_command
        image = await self._preparation.ensure_image() if first else None
        if self._init_volume is not None:
            config = image.config if image is not None else None
            self._preparation.measured = measured(self._plan, config, await self._init_volume.ensure())
        return await self._preparation.use_container(image, lambda made: self._use(made, task_status))

    async def _use(self, container_id: str, task_status: StartedStatus) -> RunResult:
        has_input = self._plan.input is not None
        plan = self._plan
        is_read = self._listeners.are_there or plan.capture_output or plan.output_limit is not None
        attach = has_input or is_read or self._init_volume is not None
        async with start_container(
            self._engine, self._preparation, container_id, attach=attach, stdin=has_input, tty=plan.tty_size is not None
        ) as container:
            stdin = [self._plan.input] if self._plan.input is not None else []
            supervisor = Supervisor(
                self._engine,
                self._preparation,
                container,
                self._plan,
                self._sandbox,
                listeners=self._listeners,
                stdin=stdin,
            )
            self._execution = supervisor.execution
            task_status.started(self._execution)
            return await supervisor.result()
