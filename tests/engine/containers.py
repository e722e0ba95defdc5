"""Containers for one test, created through the client and removed at its end, and their streams and files."""

import io
import tarfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import trio

from lightrunner.engine import ArchiveStream, EngineClient, EngineNotFound, OutputStream
from lightrunner.engine.wire import ContainerCreateRequest, HostConfig

REMOVAL_TIMEOUT = 20.0
FOREVER = ("sleep", "1000")
"""The command of a container that a signal or a removal ends."""

Output = dict[str, bytes]


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar archive with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


async def receive_all(archive: ArchiveStream) -> bytes:
    """The whole archive."""
    content = bytearray()
    while data := await archive.receive_some():
        content += data
    return bytes(content)


async def get_files(client: EngineClient, container: str, path: str) -> dict[str, bytes]:
    """The files under a path, by name."""
    async with client.container_archive(container, path) as archive:
        content = await receive_all(archive)
    assert content[257:262] == b"ustar", "a tar archive as it is, and not one that was compressed on the way"
    with tarfile.open(fileobj=io.BytesIO(content), errors="surrogateescape") as tar:
        files = ((member.name, tar.extractfile(member)) for member in tar)
        return {name: file.read() for name, file in files if file is not None}


@asynccontextmanager
async def created(client: EngineClient, image: str, *command: str, stdin: bool = False) -> AsyncGenerator[str]:
    """The id of a container that was created and not started, without a network. It is removed whatever happens."""
    body = ContainerCreateRequest(
        image=image,
        cmd=list(command),
        open_stdin=stdin,
        stdin_once=stdin,
        attach_stdin=stdin,
        attach_stdout=True,
        attach_stderr=True,
        host_config=HostConfig(network_mode="none"),
    )
    container_id = (await client.container_create(body)).id
    try:
        yield container_id
    finally:
        with trio.move_on_after(REMOVAL_TIMEOUT, shield=True):
            try:
                await client.container_delete(container_id, force=True, volumes=True)
            except EngineNotFound:  # The test has removed it.
                return


@asynccontextmanager
async def running(client: EngineClient, image: str, *command: str) -> AsyncGenerator[str]:
    """The id of a container that was started; without a command it lives until it is ended."""
    async with created(client, image, *(command or FOREVER)) as container_id:
        await client.container_start(container_id)
        yield container_id


async def wait_exit(client: EngineClient, container_id: str) -> int:
    """Wait until it has exited, and return its exit code."""
    async with client.container_wait(container_id) as pending:
        return (await pending.result()).status_code


async def run_to_exit(client: EngineClient, container_id: str) -> int:
    """Start a created container and wait for its exit code, in the order that misses nothing."""
    async with client.container_wait(container_id, condition="next-exit") as pending:
        await client.container_start(container_id)
        return (await pending.result()).status_code


async def read_all(stream: OutputStream) -> Output:
    """Read to the end, and keep the streams apart."""
    output = {"stdout": bytearray(), "stderr": bytearray()}
    while pieces := await stream.receive():
        for name, data in pieces:
            output[name] += data
    return {name: bytes(data) for name, data in output.items()}
