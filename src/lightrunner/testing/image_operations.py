"""The fake daemon's image operations: pull, import, build, list, tag, remove."""

import io
import json
import tarfile
from typing import Any, Final

import trio

from lightrunner.nurseries import open_bare_nursery

from .container_operations import Operation
from .containers import Attachment, FakeContainer
from .daemon import Daemon, Image, Refusal, filters_of, labels_match, timestamp, whole_reference
from .http import LAST_CHUNK, Answer, Request, chunk, chunked, head, json_answer, plain

_STDERR: Final = "\x1b[91m{}\x1b[0m"
"""The classic builder colours a step's stderr red."""

_EMPTY: Final[dict[str, Any]] = {"User": "", "Env": [], "Labels": {}}


def _name_of(request: Request) -> str:
    """The image that the path names: ``/images/<name>/json``, where the name may have slashes."""
    name: str = request.path.removeprefix("/images/").removesuffix("/json").removesuffix("/tag")
    return name


def _reference(name: str, tag: str) -> str:
    return f"{name}@{tag}" if tag.startswith("sha256:") else whole_reference(f"{name}:{tag}" if tag else name)


async def _create(daemon: Daemon, request: Request) -> Answer:
    """Pull (fromImage) or import (fromSrc)."""
    query = request.query
    if "fromSrc" not in query:
        name = _reference(query["fromImage"], query.get("tag", ""))
        daemon.pull(name)
        layer = {"id": "fa4e0000", "progressDetail": {"current": 10, "total": 10}}
        steps = [
            {"status": f"Pulling from {query['fromImage']}", "id": query.get("tag", "")},
            {"status": "Downloading"} | layer,
            {"status": "Download complete"} | layer,
            {"status": f"Status: Downloaded newer image for {name}"},
        ]
        return chunked(*(_message(step) for step in steps))
    config: dict[str, Any] = {"Labels": {}}
    for value in (value for name, value in request.arguments if name == "changes"):
        instruction, _, rest = value.partition(" ")
        if instruction in {"ENTRYPOINT", "CMD"}:
            config[instruction.title()] = json.loads(rest)
        elif instruction == "LABEL":
            label, _, text = rest.partition("=")
            config["Labels"][label] = text
        elif instruction == "ENV":
            config["Env"] = [*config.get("Env", []), rest]
        else:
            config[{"USER": "User", "WORKDIR": "WorkingDir"}.get(instruction, instruction)] = rest
    image = daemon.add_image(_reference(query["repo"], query.get("tag", "")), config)
    image.files.untar("/", request.body)
    return chunked(_message({"status": image.id}))


async def _build(daemon: Daemon, request: Request) -> Answer | None:
    """Build as the classic builder does: each RUN is a container, whose program is that of its command."""
    with tarfile.open(fileobj=io.BytesIO(request.body)) as context:
        dockerfile = context.extractfile("Dockerfile")
        assert dockerfile is not None
        lines = [line for line in dockerfile.read().decode().split("\n") if line.strip()]
    labels: dict[str, str] = json.loads(request.query.get("labels") or "{}")
    total = len(lines) + bool(labels)
    await request.send(head(200, {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}))

    async def tell(text: str) -> None:
        await request.send(chunk(_message({"stream": text})))

    await tell(f"Step 1/{total} : {lines[0]}\n")
    base = daemon.image(lines[0].partition(" ")[2].strip())
    await tell(f" ---> {base.id[7:19]}\n")
    files = base.files.copy()
    for at, line in enumerate(lines[1:], 2):
        await tell(f"Step {at}/{total} : {line}\n")
        command = line.partition(" ")[2]
        spec = {"Image": base.tags[0], "HostConfig": {"LogConfig": {"Type": "none"}}}
        container = FakeContainer(daemon.new_id(), "build", spec, ["sh", "-c", command], {}, files)
        code = await _run_step(daemon, container, request)
        if code:
            message = f"The command '/bin/sh -c {command}' returned a non-zero code: {code}"
            detail = {"errorDetail": {"code": code, "message": message}, "error": message}
            await request.send(chunk(_message(detail)) + LAST_CHUNK)
            return None
    config = dict(base.config) | {"Labels": base.labels | labels}
    image = daemon.add_image(
        whole_reference(request.query["t"]), config, files=files, parent=base.id, size=base.size + 1000
    )
    await tell(f"Successfully built {image.id[7:19]}\n")
    await request.send(LAST_CHUNK)
    return None


async def _run_step(daemon: Daemon, container: FakeContainer, request: Request) -> int:
    """Run a step to its end, pass its output on, and return the exit code. Raise once the client is gone."""
    readers: list[tuple[Attachment, str]] = [
        (container.attach([number], with_log=False), form) for number, form in ((1, "{}"), (2, _STDERR))
    ]
    lock = trio.Lock()

    async def deliver(attachment: Attachment, form: str) -> None:
        async def send(framed: bytes) -> None:
            text = form.format(framed[8:].decode(errors="replace"))
            async with lock:
                await request.send(chunk(_message({"stream": text})))

        await attachment.deliver(send)

    async def until_hung_up() -> None:
        while await request.receive_stdin_some():
            pass
        raise trio.BrokenResourceError("the client has cancelled the build")

    container.begin(daemon.now())
    async with open_bare_nursery() as watching:
        watching.start_soon(until_hung_up)
        async with open_bare_nursery() as nursery:
            for attachment, form in readers:
                nursery.start_soon(deliver, attachment, form)
            await daemon.live(container)
        watching.cancel_scope.cancel()
    return container.exit_code


def _message(value: object) -> bytes:
    return json.dumps(value).encode() + b"\r\n"


async def _list(daemon: Daemon, request: Request) -> Answer:
    filters = filters_of(request)
    chosen = [
        image
        for image in daemon.images.values()
        if labels_match(image.labels, filters.get("label", []))
        and (image.tags or "label" in filters)
        and ("reference" not in filters or set(image.tags) & set(map(whole_reference, filters["reference"])))
    ]
    return json_answer(
        [
            {
                "Id": image.id,
                "ParentId": image.parent,
                "RepoTags": image.tags,
                "RepoDigests": [],
                "Created": int(image.created),
                "Size": image.size,
                "Labels": image.labels,
            }
            for image in chosen
        ]
    )


async def _inspect(daemon: Daemon, request: Request) -> Answer:
    image = daemon.image(_name_of(request))
    return json_answer(
        {
            "Id": image.id,
            "Parent": image.parent,
            "RepoTags": image.tags,
            "RepoDigests": [],
            "Created": timestamp(image.created),
            "Size": image.size,
            "Architecture": image.architecture,
            "Os": "linux",
            "Config": _EMPTY | image.config,
        }
    )


async def _tag(daemon: Daemon, request: Request) -> Answer:
    image = daemon.image(_name_of(request))
    tag = _reference(request.query["repo"], request.query.get("tag", ""))
    for other in daemon.images.values():
        other.tags = [name for name in other.tags if name != tag]
    image.tags.append(tag)
    return plain(status=201)


async def _delete(daemon: Daemon, request: Request) -> Answer:
    name = _name_of(request)
    image = daemon.image(name)
    if _is_last_name(image, name) and not request.flag("force"):
        user = next((it for it in daemon.containers.values() if daemon.find_image(it.image) is image), None)
        if user is not None:
            raise Refusal(409, f"conflict: unable to remove repository reference {name!r}: container {user.id} uses it")
    removed: list[dict[str, str]] = []
    for tag in [tag for tag in image.tags if name == image.id or tag == whole_reference(name)]:
        image.tags.remove(tag)
        removed.append({"Untagged": tag})
    if not image.tags:
        del daemon.images[image.id]
        removed.append({"Deleted": image.id})
    return json_answer(removed)


def _is_last_name(image: Image, name: str) -> bool:
    return name == image.id or image.tags == [whole_reference(name)]


IMAGE_OPERATIONS: Final[dict[str, Operation]] = {
    "image_create": _create,
    "image_build": _build,
    "image_list": _list,
    "image_inspect": _inspect,
    "image_tag": _tag,
    "image_delete": _delete,
}
