"""The runs of a soak: ordinary ones, and ones with a fault. Each checks how it ended, and raises `SurpriseError`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from lightrunner import DockerRunner, Execution, ExtractSpec, LightRunnerError, LogLine, RunRequest, RunResult
from lightrunner import LightRunnerErrorCode as Code
from lightrunner.engine import EngineClient, EngineNotFound
from lightrunner.nurseries import open_bare_nursery

from .cut_off import proxy_to

_NOWHERE: Final = "127.0.0.1:1/no/such/image:1"
_SLEEP: Final = "echo ready; exec sleep 600"
_SIGKILLED: Final = 137


class SurpriseError(Exception):
    """A run ended otherwise than it has to."""


class CallbackError(Exception):
    """What a log callback raises."""


@dataclass
class Ground:
    """What the runs share: the daemon's socket, clients of it, an image with a shell, and a folder of files."""

    socket: str
    runner: DockerRunner
    engine: EngineClient
    image: str
    folder: Path

    def request(self, shell: str, **fields: Any) -> RunRequest:
        """Make a request; without a network, unless one is named."""
        given: dict[str, Any] = {"network": "none"} | fields
        return RunRequest(image=self.image, entrypoint=shell, **given)


SoakRun = Callable[[Ground, int], Awaitable[None]]
"""One run; the number is its own."""


def _expect(truth: bool, told: object) -> None:  # noqa: FBT001 - an assertion
    if not truth:
        raise SurpriseError(f"unexpected: {told!r}")


# --- ordinary runs ----------------------------------------------------------------------------------------------------


async def nothing(ground: Ground, _: int) -> None:
    """Do nothing."""
    result = await ground.runner.run(ground.request("true"))
    _expect(result.success, result)


async def echo(ground: Ground, number: int) -> None:
    """Send the input back."""
    text = b"%d" % number * 1000
    result = await ground.runner.run(ground.request("cat", input=text, capture_output=True))
    _expect(result.stdout == text, result)


async def files(ground: Ground, number: int) -> None:
    """Copy a folder in and out, on the isolated network."""
    target = ground.folder / f"out-{number}"
    entries = [ExtractSpec(".", str(target))]
    source = str(ground.folder / "source")
    result = await ground.runner.run(ground.request("true", dir=source, extract=entries, network=None))
    _expect(result.success and result.extracted is not None and result.extracted[0].status == "ok", result)


async def fails(ground: Ground, _: int) -> None:
    """Exit with a code of its own, behind some lines."""
    lines = list[LogLine]()
    result = await ground.runner.run(ground.request("seq 100; exit 3"), on_log=lines.append)
    _expect((result.exit_code, len(lines)) == (3, 100), result)


# --- runs with a fault ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _started(runner: DockerRunner, request: RunRequest) -> AsyncGenerator[Execution]:
    """A run that is at work. Its error, if it has one, comes out of the handle's `wait` alone."""

    async def run(*, task_status: trio.TaskStatus[Execution]) -> None:
        try:
            await runner.run(request, task_status=task_status)
        except LightRunnerError:
            if not handles:
                raise

    handles = list[Execution]()
    async with open_bare_nursery() as nursery:
        handles.append(await nursery.start(run))
        yield handles[0]


async def _error(wait: Callable[[], Awaitable[RunResult]]) -> LightRunnerError:
    try:
        result = await wait()
    except LightRunnerError as error:
        return error
    raise SurpriseError(f"a result in place of an error: {result!r}")


async def cancelled(ground: Ground, _: int) -> None:
    """Cancel by the handle."""
    async with _started(ground.runner, ground.request(_SLEEP)) as execution:
        execution.cancel()
        result = await execution.wait()
    _expect(result.cancelled, result)


async def aborted(ground: Ground, number: int) -> None:
    """Cancel the scope around it, wherever it is."""
    with trio.move_on_after(0.02 * (number // 10 % 40)) as scope:
        await ground.runner.run(ground.request(_SLEEP))
    _expect(scope.cancelled_caught, scope)


async def timed_out(ground: Ground, _: int) -> None:
    """Run into the time-out."""
    result = await ground.runner.run(ground.request(_SLEEP, timeout=0.2))
    _expect(result.timed_out, result)


async def stopped(ground: Ground, _: int) -> None:
    """Stop; process 1 has no handler, so that SIGKILL follows."""
    async with _started(ground.runner, ground.request(_SLEEP)) as execution:
        await execution.stop(grace=0.1)
        result = await execution.wait()
    _expect(result.cancelled and result.exit_code == _SIGKILLED, result)


async def callback_raises(ground: Ground, _: int) -> None:
    """Raise in the log callback."""

    def fail(line: LogLine) -> None:
        raise CallbackError(line.text)

    try:
        result = await ground.runner.run(ground.request(_SLEEP), on_log=fail)
    except CallbackError:
        return
    raise SurpriseError(f"no exception: {result!r}")


async def killed_by_daemon(ground: Ground, _: int) -> None:
    """Kill the container behind the runner's back."""
    async with _started(ground.runner, ground.request(_SLEEP)) as execution:
        await ground.engine.container_kill(execution.container_id)
        result = await execution.wait()
    _expect(result.exit_code == _SIGKILLED and not (result.cancelled or result.timed_out), result)


async def removed_by_daemon(ground: Ground, _: int) -> None:
    """Remove the container behind the runner's back."""
    async with _started(ground.runner, ground.request(_SLEEP)) as execution:
        try:
            await ground.engine.container_delete(execution.container_id, force=True)
        except EngineNotFound as missing:
            raise SurpriseError(str(missing)) from missing
        # Which of the two depends on whether the inspect comes before the removal is complete.
        try:
            result = await execution.wait()
        except LightRunnerError as error:
            _expect(error.code is Code.RUN_FAILED, error)
        else:
            _expect(result.exit_code == _SIGKILLED, result)


async def bad_extract(ground: Ground, number: int) -> None:
    """Extract a link that leads out, beside what is missing."""
    target = ground.folder / f"bad-{number}"
    entries = [ExtractSpec("link", str(target)), ExtractSpec("missing", str(target))]
    result = await ground.runner.run(ground.request("ln -s /etc/passwd link", extract=entries))
    _expect([it.status for it in result.extracted or ()] == ["error", "missing"], result)


async def unknown_image(ground: Ground, _: int) -> None:
    """Run an image that no registry has."""
    error = await _error(partial(ground.runner.run, RunRequest(image=_NOWHERE, network="none")))
    _expect(error.code is Code.IMAGE_PULL_FAILED, error)


async def unknown_network(ground: Ground, _: int) -> None:
    """Let the daemon refuse the start."""
    error = await _error(partial(ground.runner.run, ground.request("true", network="no-such-network")))
    _expect(error.code is Code.CONTAINER_START_FAILED, error)


async def lost_connection(ground: Ground, _: int) -> None:
    """Break every connection to the daemon while the container runs; later ones work.

    Without output to read the run waits for the exit, and a wait that ends without an answer is a lost connection. (An
    attached stream that ends is no fault: a process may close its output and live on.)
    """
    request = ground.request(_SLEEP)
    async with (
        proxy_to(ground.socket) as proxy,
        DockerRunner(host=proxy.host) as runner,
        _started(runner, request) as execution,
    ):
        proxy.cut()
        error = await _error(execution.wait)
    _expect(error.code is Code.DOCKER_UNREACHABLE, error)


ORDINARY: Final[Sequence[SoakRun]] = (nothing, echo, files, fails)
FAULTS: Final[Sequence[SoakRun]] = (
    cancelled,
    aborted,
    timed_out,
    stopped,
    callback_raises,
    killed_by_daemon,
    removed_by_daemon,
    bad_extract,
    unknown_image,
    unknown_network,
    lost_connection,
)
