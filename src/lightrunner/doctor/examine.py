"""Collect the facts about a daemon and this host, without changing either."""

import os
import shutil
import stat
import time
from datetime import datetime
from pathlib import Path

import trio
from msgspec.structs import replace

from lightrunner.detached.reap import reap, reap_age
from lightrunner.engine import EngineClient, EngineEndpointError, EngineError
from lightrunner.engine.contexts import current_context
from lightrunner.engine.endpoint import choose_endpoint
from lightrunner.errors import LightRunnerError
from lightrunner.host.state_dir import state_dir
from lightrunner.networks.isolated import find_isolated

from .facts import DaemonFacts, Disk, Facts, StateFolder
from .findings import Diagnosis, diagnose

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


async def examine(host: str | None = None) -> Diagnosis:
    """Examine a daemon and this host.

    Args:
        host: the daemon, as for `DockerRunner`; None: the one that the environment names.

    Returns:
        The findings. A daemon that cannot be reached, or that fails, is one of them.
    """
    state = await trio.to_thread.run_sync(_state_folder)
    try:
        endpoint, source = choose_endpoint(host, os.environ, current_context=current_context)
        engine = EngineClient(host)
    except EngineEndpointError as error:
        return diagnose(Facts(endpoint="", problem=str(error), state=state))
    socket = endpoint.socket if endpoint.ssh is None else ""
    daemon, problem = None, None
    async with engine:
        try:
            daemon = DaemonFacts(api_version=await engine.system_ping())
            daemon = replace(daemon, used_version=await engine.api_version())
            daemon = await _ask(engine, daemon, is_here=bool(socket))
        except (EngineError, LightRunnerError) as error:
            problem = str(error)
    socket_exists, socket_is_allowed = await trio.to_thread.run_sync(_socket, socket)
    return diagnose(
        Facts(
            endpoint=str(endpoint),
            source=source,
            is_plain_tcp=not endpoint.socket and endpoint.ssh is None and endpoint.tls is None,
            problem=problem,
            socket=socket,
            socket_exists=socket_exists,
            socket_is_allowed=socket_is_allowed,
            daemon=daemon,
            state=state,
        )
    )


async def _ask(engine: EngineClient, daemon: DaemonFacts, *, is_here: bool) -> DaemonFacts:
    """Add the daemon's own answers to the facts. `is_here`: its files may be on this host."""
    info = await engine.system_info()
    asked = time.time()
    return replace(
        daemon,
        info=info,
        seconds_ahead=_seconds_ahead(info.system_time, asked),
        network=await find_isolated(engine),
        disk=_disk(info.docker_root_dir) if is_here and info.docker_root_dir else None,
        leftovers=await reap(engine, reap_age(), dry_run=True),
    )


def _seconds_ahead(system_time: str, now: float) -> float | None:
    try:
        return datetime.fromisoformat(system_time).timestamp() - now
    except ValueError:
        return None


def _socket(path: str) -> tuple[bool, bool]:
    """Return whether the socket exists, and whether this user may connect to it. Both are true for an empty path."""
    return (Path(path).exists(), os.access(path, os.R_OK | os.W_OK)) if path else (True, True)


def _disk(path: str) -> Disk | None:
    try:
        usage = shutil.disk_usage(path)
    except OSError:  # The daemon's folders are root's, and a daemon in a virtual machine has its own.
        return None
    return Disk(path, usage.free, usage.total)


def _state_folder() -> StateFolder:
    try:
        path = state_dir()
    except FileNotFoundError as error:
        return StateFolder(path="", problem=str(error))
    existing = next((folder for folder in (path, *path.absolute().parents) if folder.exists()), Path("/"))
    problem = None
    if not existing.is_dir():
        problem = f"{existing} is not a folder"
    elif not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        problem = f"{existing} cannot be written"
    return StateFolder(
        path=str(path),
        exists=path == existing,
        problem=problem,
        is_private=path != existing or not existing.stat().st_mode & _OTHERS_MAY_WRITE,
        disk=_disk(str(existing)),
    )
