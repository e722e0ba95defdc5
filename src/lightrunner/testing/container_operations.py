"""The fake daemon's container operations."""

import signal
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import trio

from lightrunner.nurseries import open_bare_nursery

from .containers import READERS_GRACE, Attachment, FakeContainer
from .daemon import (
    BRIDGE,
    Daemon,
    Image,
    Refusal,
    Volume,
    filters_of,
    labels_match,
    timestamp,
)
from .files import FileSystem
from .http import (
    LAST_CHUNK,
    UPGRADED,
    Answer,
    Request,
    chunk,
    head,
    json_answer,
    plain,
)

Operation = Callable[[Daemon, Request], Awaitable[Answer | None]]
"""Acts, and returns the answer, unless it has answered itself. The request's body was read."""

_NO_CONTENT: Final = plain(status=204)
_NOT_MODIFIED: Final = plain(status=304)
_WITHOUT_NETWORK: Final = frozenset({"none", "host", "default", BRIDGE})
_CONTAINER: Final = "container:"


def container_of(daemon: Daemon, request: Request) -> FakeContainer:
    """The container that the path names."""
    return daemon.container(request.path.split("/")[2])


async def _create(daemon: Daemon, request: Request) -> Answer:
    spec: dict[str, Any] = msgspec.json.decode(request.body)
    name = request.query.get("name") or f"fake_{len(daemon.containers)}"
    image = daemon.image(spec.get("Image", ""))
    if any(container.name == name for container in daemon.containers.values()):
        raise Refusal(409, f'Conflict. The container name "/{name}" is already in use by container.')
    argv = _argv(spec, image)
    if not argv:
        raise Refusal(400, "No command specified")
    entries: list[str] = [*image.config.get("Env", []), *spec.get("Env", [])]
    env = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    files = image.files.copy(base=spec.get("WorkingDir") or image.config.get("WorkingDir") or "/")
    container = FakeContainer(daemon.new_id(), name, spec, argv, env, files)
    container.created = daemon.now()
    runtime = container.host_config.get("Runtime")
    if runtime and runtime not in daemon.runtimes:
        raise Refusal(400, f"Unknown runtime specified {runtime}")
    _mkdir(files, files.base)
    for mount in container.mounts:
        _mkdir(files, mount["Target"])
        if mount["Type"] == "volume":
            options: dict[str, Any] = mount.get("VolumeOptions") or {}
            volume = Volume(name=mount["Source"], labels=options.get("Labels") or {}, created=daemon.now())
            daemon.volumes.setdefault(volume.name, volume)
    daemon.containers[container.id] = container
    return json_answer({"Id": container.id, "Warnings": []}, status=201)


def _argv(spec: dict[str, Any], image: Image) -> list[str]:
    """The command, by Docker's rule: an entrypoint of the request's own sets the image's command aside."""
    if (entrypoint := spec.get("Entrypoint")) is not None:
        return [*entrypoint, *(spec.get("Cmd") or [])]
    command: list[str] = spec.get("Cmd") or image.config.get("Cmd") or []
    # An image that was not described has a command; what it does is its program's to say.
    return [*(image.config.get("Entrypoint") or []), *command] or ["sh"]


def _mkdir(files: FileSystem, path: str) -> None:
    if not files.exists(path):
        files.mkdir(path)


async def _list(daemon: Daemon, request: Request) -> Answer:
    filters = filters_of(request)
    chosen = [
        container
        for container in reversed(daemon.containers.values())
        if (container.is_running or request.flag("all") or "status" in filters)
        and labels_match(container.labels, filters.get("label", []))
        and _is_any(filters.get("name"), container.name.__contains__)
        and _is_any(filters.get("id"), container.id.startswith)
        and _is_any(filters.get("status"), container.status.__eq__)
        and _is_any(filters.get("ancestor"), container.image.__eq__)
    ]
    return json_answer([_summary(daemon, container) for container in chosen])


def _is_any(wanted: list[str] | None, matches: Callable[[str], bool]) -> bool:
    return wanted is None or any(map(matches, wanted))


def _summary(daemon: Daemon, container: FakeContainer) -> dict[str, Any]:
    image = daemon.find_image(container.image)
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image,
        "ImageID": image.id if image else "",
        "Created": int(container.created),
        "State": container.status,
        "Status": container.status,
        "Labels": container.labels,
    }


async def _inspect(daemon: Daemon, request: Request) -> Answer:
    container = container_of(daemon, request)
    image = daemon.find_image(container.image)
    state = {
        "Status": container.status,
        "Running": container.is_running,
        "Paused": container.status == "paused",
        "OOMKilled": container.oom_killed,
        "Dead": False,
        "Pid": 1000 if container.is_running else 0,
        "ExitCode": container.exit_code,
        "Error": "",
        "StartedAt": timestamp(container.started),
        "FinishedAt": timestamp(container.finished),
    }
    config = {**container.spec, "Image": container.image, "WorkingDir": container.workdir, "Labels": container.labels}
    host = config.pop("HostConfig", {})
    return json_answer(
        {
            "Id": container.id,
            "Name": f"/{container.name}",
            "Created": timestamp(container.created),
            "Image": image.id if image else "",
            "State": state,
            "Config": config,
            "HostConfig": host,
        }
    )


async def _start(daemon: Daemon, request: Request) -> Answer:
    container = container_of(daemon, request)
    if container.is_running:
        return _NOT_MODIFIED
    mode = container.network_mode
    if mode.startswith(_CONTAINER):
        other = daemon.container(mode.removeprefix(_CONTAINER))
        if not other.is_running:
            raise Refusal(409, f"cannot join network of a non running container: {other.id}")
    elif mode not in _WITHOUT_NETWORK:
        daemon.network(mode)
    daemon.start(container)
    return _NO_CONTENT


async def _wait(daemon: Daemon, request: Request) -> Answer | None:
    container = container_of(daemon, request)
    condition = request.query.get("condition", "not-running")
    over = container.removed if condition == "removed" else container.ended
    if condition == "next-exit" and container.ended.is_set():
        over = container.removed  # It has exited, and nobody will start it again.
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    await request.send(head(200, headers))
    if container.is_running or condition != "not-running":
        await over.wait()
    await request.send(chunk(msgspec.json.encode({"StatusCode": container.exit_code})) + LAST_CHUNK)
    return None


async def _attach(daemon: Daemon, request: Request) -> Answer | None:
    container = container_of(daemon, request)
    streams = [number for number, name in ((1, "stdout"), (2, "stderr")) if request.flag(name)]
    attachment = container.attach(streams, with_log=request.flag("logs"))
    try:
        await request.send(UPGRADED)
        async with open_bare_nursery() as nursery:
            nursery.start_soon(_feed, request, container)
            await _deliver(attachment, container, request.send)
            nursery.cancel_scope.cancel()
    finally:
        container.detach(attachment)
    await request.stream.send_eof()
    request.hang_up = True
    return None


async def _feed(request: Request, container: FakeContainer) -> None:
    """Write what the client sends to the container's stdin. (Without `stdin` it is dropped.)"""
    wanted = request.flag("stdin")
    try:
        while data := await request.receive_stdin_some():
            if wanted:
                await container.feed(data)
    except trio.BrokenResourceError:
        pass  # The client is gone, which is an end as well, or the container is.
    if wanted and container.spec.get("StdinOnce"):
        container.end_stdin()


async def _deliver(
    attachment: Attachment, container: FakeContainer, send: Callable[[bytes], Awaitable[object]]
) -> None:
    """Send the output, and after the exit what is left of it, for as long as a daemon waits for its readers."""

    async def give_up() -> None:
        await container.ended.wait()
        await trio.sleep(READERS_GRACE)
        nursery.cancel_scope.cancel()

    async with open_bare_nursery() as nursery:
        nursery.start_soon(give_up)
        await attachment.deliver(send)
        nursery.cancel_scope.cancel()


async def _logs(daemon: Daemon, request: Request) -> Answer | None:
    container = container_of(daemon, request)
    if container.log_driver == "none":
        raise Refusal(501, "configured logging driver does not support reading")
    streams = [number for number, name in ((1, "stdout"), (2, "stderr")) if request.flag(name)]
    attachment = container.attach(streams, with_log=True)
    if not request.flag("follow"):
        container.detach(attachment)

    async def send(data: bytes) -> None:
        await request.send(chunk(data))

    try:
        await request.send(head(200, {"Transfer-Encoding": "chunked"}))
        await _deliver(attachment, container, send)
    finally:
        container.detach(attachment)
    await request.send(LAST_CHUNK)
    return None


async def _kill(daemon: Daemon, request: Request) -> Answer:
    container = container_of(daemon, request)
    number = _signal(request.query.get("signal", "SIGKILL"))
    if not container.is_running:
        raise Refusal(409, f"Cannot kill container: {container.name}: Container {container.id} is not running")
    container.kill(number)
    if number == signal.SIGKILL:
        await container.ended.wait()  # As the daemon, which answers behind the exit.
    return _NO_CONTENT


def _signal(text: str) -> int:
    try:
        return signal.Signals(int(text)) if text.isdigit() else signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"]
    except (KeyError, ValueError):
        raise Refusal(400, f"Invalid signal: {text}") from None


async def _stop(daemon: Daemon, request: Request) -> Answer:
    container = container_of(daemon, request)
    if not container.is_running:
        return _NOT_MODIFIED
    container.kill(signal.SIGTERM)
    with trio.move_on_after(float(request.query.get("t") or 10)):
        await container.ended.wait()
    container.kill()
    await container.ended.wait()
    return _NO_CONTENT


async def _pause(daemon: Daemon, request: Request) -> Answer:
    container = container_of(daemon, request)
    if container.status != "running":
        reason = "already paused" if container.status == "paused" else "not running"
        raise Refusal(409, f"Container {container.id} is {reason}")
    container.pause()
    return _NO_CONTENT


async def _unpause(daemon: Daemon, request: Request) -> Answer:
    container = container_of(daemon, request)
    if container.status != "paused":
        raise Refusal(500, f"Container {container.id} is not paused")
    container.unpause()
    return _NO_CONTENT


async def _delete(daemon: Daemon, request: Request) -> Answer:
    container = container_of(daemon, request)
    if container.is_running and not request.flag("force"):
        raise Refusal(409, f"You cannot remove a running container {container.id}. Stop it first or force removal.")
    del daemon.containers[container.id]
    container.remove()
    return _NO_CONTENT


CONTAINER_OPERATIONS: Final[dict[str, Operation]] = {
    "container_create": _create,
    "container_list": _list,
    "container_inspect": _inspect,
    "container_start": _start,
    "container_wait": _wait,
    "container_attach": _attach,
    "container_logs": _logs,
    "container_kill": _kill,
    "container_stop": _stop,
    "container_pause": _pause,
    "container_unpause": _unpause,
    "container_delete": _delete,
}
