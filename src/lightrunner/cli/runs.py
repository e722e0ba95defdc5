"""``run`` and ``attach``: a container's output as it is, its exit code, and its end at Ctrl-C."""

import argparse
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial

import msgspec
import trio

from lightrunner import DockerRunner, Execution, Outcome, OutputChunk, RunResult
from lightrunner.nurseries import open_bare_nursery
from lightrunner.rules.limits import MAX_CAPTURE_BYTES

from . import exits, tables
from .control import stored_runs
from .lookup import find_run
from .progress import Display, open_display
from .request import run_request, runner_options
from .signals import Signals
from .stdio import put, read_source, receive_stdin, say, terminal_size, write_chunk
from .terminal import follow_size, raw_terminal


async def run(args: argparse.Namespace, command: Sequence[str] | None, signals: Signals) -> int:
    """Run a request, attached or, with ``--detach``, only to its start."""
    # In a thread that may be left behind: stdin can take its time.
    make = partial(run_request, args, command, os.environ, read_source, tty_size=terminal_size())
    request = await trio.to_thread.run_sync(make, abandon_on_cancel=True)
    options = msgspec.structs.asdict(runner_options(args))
    with open_display(quiet=args.quiet) as display:
        async with DockerRunner(**options) as runner:
            if args.detach:
                run_id = await runner.detach(request, on_progress=display.update)
                put(tables.to_json({"id": run_id}) if args.json else run_id)
                return exits.OK
            start = partial(
                runner.run,
                request,
                on_output=None if args.json else partial(_pass_on, display),
                on_progress=display.update,
                stdin=receive_stdin() if args.interactive else None,
            )
            interrupts = _Interrupts(signals, args.grace, wants_result=args.json)
            run_id, result = await _lived(start, display, interrupts, is_typed=args.interactive and args.tty)
    return _report(args, run_id, result)


async def attach(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Wait for a detached run. A signal ends the waiting, and the run goes on."""
    state = find_run(args.run_id, await stored_runs())
    kept = _Kept()
    with open_display(quiet=args.quiet) as display:
        async with DockerRunner(host=args.host) as runner:
            on_output = kept.add if args.json else partial(_pass_on, display)
            result = await runner.attach(state.id, on_output=on_output)
    if args.json:
        result = kept.in_result(result)
    return _report(args, state.id, result)


class _Kept:
    """The first bytes of each stream of an attached run: `DockerRunner.attach` does not capture output itself."""

    def __init__(self) -> None:
        self._kept = {"stdout": bytearray(), "stderr": bytearray()}
        self._truncated = {"stdout": False, "stderr": False}

    def add(self, chunk: OutputChunk) -> None:
        """Keep as much as a run's `capture_output` keeps."""
        room = MAX_CAPTURE_BYTES - len(self._kept[chunk.stream])
        self._kept[chunk.stream] += chunk.data[:room]
        self._truncated[chunk.stream] |= len(chunk.data) > room

    def in_result(self, result: RunResult) -> RunResult:
        """The result with this output in it."""
        return msgspec.structs.replace(
            result,
            stdout=bytes(self._kept["stdout"]),
            stderr=bytes(self._kept["stderr"]),
            stdout_truncated=self._truncated["stdout"],
            stderr_truncated=self._truncated["stderr"],
        )


class _Interrupts:
    """What signals do to a run that has started.

    The first one kills the container; with a grace period it is passed on instead. The second one cancels the command,
    and with it the delivery of output that nobody may be reading.
    """

    def __init__(self, signals: Signals, grace: float, *, wants_result: bool) -> None:
        self._signals = signals
        self._grace = grace
        self._wants_result = wants_result

    def apply_to(self, execution: Execution, nursery: trio.Nursery) -> None:
        """Take signals from now on."""

        def handle(number: signal.Signals) -> None:
            self._signals.handler = self._signals.cancel
            if self._grace > 0:
                nursery.start_soon(execution.stop, number.name, self._grace)
            elif self._wants_result:
                execution.cancel()
            else:
                self._signals.cancel()

        self._signals.handler = handle


async def _lived(
    start: Callable[..., Awaitable[RunResult]], display: Display, interrupts: _Interrupts, *, is_typed: bool
) -> tuple[str, RunResult]:
    """Start a run and wait for its end. Return its id and its result.

    Args:
        start: as ``nursery.start`` takes it.
        display: is closed at the start.
        interrupts: what signals do.
        is_typed: whether this process's terminal is the container's.
    """
    with ExitStack() as stack:
        async with open_bare_nursery() as watchers:
            async with open_bare_nursery() as nursery:
                execution: Execution = await nursery.start(start)
                display.close()
                interrupts.apply_to(execution, nursery)
                if is_typed:
                    stack.enter_context(raw_terminal())
                    watchers.start_soon(follow_size, execution.resize)
            watchers.cancel_scope.cancel()
    return execution.id, await execution.wait()


async def _pass_on(display: Display, chunk: OutputChunk) -> None:
    display.close()
    await write_chunk(chunk.stream, chunk.data)


def _report(args: argparse.Namespace, run_id: str, result: RunResult) -> int:
    """Print the result as JSON, or say what the exit code does not tell. Return the exit status."""
    if args.json:
        put(tables.to_json(tables.result_object(result, id=run_id)))
    else:
        if result.oom_killed or result.outcome is not Outcome.EXITED:
            say(result.explain())
        if result.usage is not None:
            say(tables.usage_line(result.usage))
    for entry in result.extracted or ():
        if entry.status != "ok":
            say(f"extract {entry.from_}: {entry.error or 'there is no such path in the container'}")
    return exits.status_of_result(result)
