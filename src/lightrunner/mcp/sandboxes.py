"""The sandboxes of a session: started by one tool, used by others, and ended when they are not used."""

import logging
import secrets
from contextlib import suppress
from functools import partial

import trio

from lightrunner import DockerRunner, LightRunnerError, RunRequest
from lightrunner.errors import invalid_request
from lightrunner.rules.violation import RuleViolation
from lightrunner.sandbox.box import Sandbox

_logger = logging.getLogger(__name__)


class HeldSandbox:
    """A sandbox that is open.

    Attributes:
        box: it.
        stop: ends it, once set.
        stopped: set when nothing of it is left.
    """

    def __init__(self, box: Sandbox, idle_time: float) -> None:
        self.box = box
        self.stop = trio.Event()
        self.stopped = trio.Event()
        self._idle_time = idle_time
        self._users = 0
        self._idle = trio.CancelScope(deadline=trio.current_time() + idle_time)

    def __enter__(self) -> Sandbox:
        self._users += 1
        self._idle.deadline = float("inf")
        return self.box

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            self._idle.deadline = trio.current_time() + self._idle_time

    async def wait_over(self) -> None:
        """Wait until it is to be stopped, or has not been used for its idle time."""
        with self._idle:
            await self.stop.wait()


class Sandboxes:
    """The sandboxes, by their ids."""

    def __init__(self, runner: DockerRunner, nursery: trio.Nursery, *, maximum: int, idle_time: float) -> None:
        self._runner = runner
        self._nursery = nursery
        self._maximum = maximum
        self._idle_time = idle_time
        self._held: dict[str, HeldSandbox] = {}
        self._starting = 0

    async def start(self, request: RunRequest) -> str:
        """Start one. Return its id.

        Raises:
            LightRunnerError: as `DockerRunner.sandbox`. INVALID_REQUEST: there are too many.
        """
        if len(self._held) + self._starting >= self._maximum:
            with invalid_request():
                raise RuleViolation("sandbox", len(self._held), "there are no more at once; stop one")
        self._starting += 1
        try:
            sandbox_id: str = await self._nursery.start(partial(self._hold, request))
        finally:
            self._starting -= 1
        return sandbox_id

    def find(self, sandbox_id: str) -> HeldSandbox:
        """Return one.

        Raises:
            LightRunnerError: INVALID_REQUEST: there is none with this id.
        """
        held = self._held.get(sandbox_id)
        if held is None:
            with invalid_request():
                raise RuleViolation("sandbox", sandbox_id, "there is no such sandbox, or it has ended; start one")
            raise AssertionError
        return held

    async def stop(self, sandbox_id: str) -> None:
        """Remove one, with all that runs in it."""
        held = self.find(sandbox_id)
        held.stop.set()
        await held.stopped.wait()

    async def _hold(self, request: RunRequest, task_status: trio.TaskStatus[str]) -> None:
        sandbox_id = secrets.token_hex(4)
        held: HeldSandbox | None = None
        try:
            async with self._runner.sandbox(request) as box:
                held = self._held[sandbox_id] = HeldSandbox(box, self._idle_time)
                task_status.started(sandbox_id)
                await held.wait_over()
        except LightRunnerError as error:
            if held is None:
                raise
            # Its end was asked for, or nobody waits for it. Who uses it later is told that it has ended.
            _logger.warning("sandbox %s: %s", sandbox_id, error)
        finally:
            with suppress(KeyError):
                del self._held[sandbox_id]
            if held is not None:
                held.stopped.set()
