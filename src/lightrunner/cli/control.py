"""Detached runs by their ids: ``ps``, ``logs``, ``stop``, ``pause``, ``resume``."""

import argparse
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from lightrunner import (
    DockerRunner,
    Execution,
    LightRunnerError,
    LightRunnerErrorCode,
    RunResult,
    RunState,
    list_states,
)
from lightrunner.detached.attach import DetachedExecution
from lightrunner.detached.finish import container_state
from lightrunner.detached.logs import whole_log
from lightrunner.detached.state import reading_logs
from lightrunner.engine import EngineClient, EngineError, EngineNotFound
from lightrunner.errors import mapped_errors
from lightrunner.nurseries import open_bare_nursery
from lightrunner.rules.limits import LABEL_DETACHED, LABEL_RUN_ID

from . import exits, tables
from .exits import CommandError
from .lookup import find_run
from .signals import Signals
from .stdio import put, say, write_chunk

_SHORT_ID = 12
_COMMAND_WIDTH = 40


async def stored_runs() -> list[RunState]:
    """The detached runs of this host, oldest first."""
    try:
        return await trio.to_thread.run_sync(list_states)
    except OSError as error:
        raise CommandError(f"the state folder cannot be read: {error}") from error


async def ps(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """List detached runs. What the daemon cannot tell is taken from the state files."""
    states = await stored_runs()
    seen = await _container_states(args.host) if any(not state.finished for state in states) else {}
    shown = [(state, _status(state, seen)) for state in states if args.all or not state.finished]
    if args.json:
        runs = [{**tables.as_object(state), "status": status} for state, status in shown]
        put(tables.to_json({"runs": runs}))
    elif args.quiet:
        for state, _ in shown:
            put(state.id)
    else:
        rows = [
            (
                state.id[:_SHORT_ID],
                tables.short(state.image, _COMMAND_WIDTH),
                tables.short(state.entrypoint or "", _COMMAND_WIDTH),
                f"{tables.age(time.time() - state.started_at.timestamp())} ago",
                status if state.exit_code is None else f"{status} ({state.exit_code})",
            )
            for state, status in shown
        ]
        put(tables.table(("ID", "IMAGE", "COMMAND", "STARTED", "STATUS"), rows))
    return exits.OK


async def logs(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Print a run's output, to its end with ``--follow``."""
    state = find_run(args.run_id, await stored_runs())
    async with EngineClient(args.host) as engine, reading_logs(state.id):
        try:
            with mapped_errors(LightRunnerErrorCode.RUN_FAILED, "container_logs"):
                opened = whole_log if args.follow else EngineClient.container_logs
                async with opened(engine, state.container) as log:
                    while pieces := await log.receive():
                        for piece in pieces:
                            await write_chunk(piece.stream, piece.data)
        except LightRunnerError as error:
            if isinstance(error.__cause__, EngineNotFound):
                raise CommandError(f"the output of {state.id} is gone: its container was removed") from error
            raise
    return exits.OK


async def stop(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Stop runs, and wait until they are finished and removed."""
    states = await _chosen(args.run_id)
    stopped: list[dict[str, object]] = []
    async with DockerRunner(host=args.host) as runner:
        for state in states:
            result = await _stop(runner, state.id, args.signal, args.grace)
            stopped.append(tables.result_object(result, id=state.id))
            if not args.json:
                put(state.id)
    if args.json:
        put(tables.to_json({"runs": stopped}))
    return exits.OK


async def pause(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Freeze runs."""
    return await _each_running(args, DetachedExecution.pause, "paused")


async def resume(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Thaw runs."""
    return await _each_running(args, DetachedExecution.resume, "running")


async def _each_running(
    args: argparse.Namespace, act: Callable[[DetachedExecution], Awaitable[None]], becomes: str
) -> int:
    """Do something to runs that have not ended. Their states are not touched: `attach` and `reap` finish runs."""
    states = await _chosen(args.run_id)
    async with EngineClient(args.host) as engine:
        for state in states:
            container = await container_state(engine, state)
            if container is None or not container.running:
                raise CommandError(f"{state.id} is not running")
            await act(DetachedExecution(engine, state))
            if not args.json:
                put(state.id)
    if args.json:
        put(tables.to_json({"runs": [{"id": state.id, "status": becomes} for state in states]}))
    return exits.OK


async def _stop(runner: DockerRunner, run_id: str, signal: str, grace: float) -> RunResult:
    async with open_bare_nursery() as nursery:
        execution: Execution = await nursery.start(runner.attach, run_id)
        await execution.stop(signal, grace)
    return await execution.wait()


async def _chosen(ids: Sequence[str]) -> list[RunState]:
    """The runs that ids or their beginnings name, each once; all are looked up before anything is done."""
    states = await stored_runs()
    return list({state.id: state for state in (find_run(text, states) for text in ids)}.values())


async def _container_states(host: str | None) -> dict[str, str]:
    """The states of detached runs' containers, by run id. If the daemon is not there, say so and return none."""
    try:
        async with EngineClient(host) as engine:
            containers = await engine.container_list(all=True, filters={"label": [LABEL_DETACHED]})
    except EngineError as error:
        say(f"the states of running containers are not known: {error}")
        return {}
    return {(container.labels or {}).get(LABEL_RUN_ID, ""): container.state for container in containers}


def _status(state: RunState, seen: Mapping[str, str]) -> str:
    """A run's status: from its file if it is finished, else the daemon's word for its container."""
    return state.status if state.finished else seen.get(state.id, state.status)
