"""docker-py and aiodocker, doing what a run does: create, attach, start, output to its end, exit code, removal.

They are imported when they are asked for: a library that is not installed is a missing peer, not an error.
"""

import asyncio
import importlib
from typing import Any

from .job import Job, new_name


class PeerMissingError(Exception):
    """This peer cannot take part; the message says why."""


class DockerPy:
    """docker-py, blocking: its low-level client, which takes the very same create body."""

    name = "docker-py"

    def __init__(self, host: str) -> None:
        self._client: Any = _imported("docker").APIClient(base_url=host, version="auto")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def run(self, job: Job) -> None:
        """One whole run."""
        client, name = self._client, new_name()
        client.inspect_image(job.request.image)
        client.create_container_from_config(job.config(name), name)
        try:
            output = client.attach(name, stream=True)
            client.start(name)
            for _ in output:
                pass
            _check(client.inspect_container(name))
        finally:
            client.remove_container(name, v=True, force=True)
            client.remove_volume(name)

    def exec(self, container_id: str, command: list[str]) -> None:
        """One command in a running container."""
        client = self._client
        made = client.exec_create(container_id, command)
        client.exec_start(made)
        assert client.exec_inspect(made)["ExitCode"] == 0, "the command failed"


class AioDocker:
    """aiodocker, on an asyncio loop of its own that runs when it is this peer's turn."""

    name = "aiodocker"

    def __init__(self, host: str) -> None:
        self._library = _imported("aiodocker")
        self._loop = asyncio.Runner()
        self._docker: Any = self._loop.run(self._connect(host))

    def close(self) -> None:
        """Close its connections."""
        self._loop.run(self._docker.close())
        self._loop.close()

    def run(self, job: Job) -> None:
        """One whole run."""
        self._loop.run(self._run(job))

    async def _connect(self, host: str) -> Any:
        docker = self._library.Docker(url=host)
        await docker.system.info()
        return docker

    async def _run(self, job: Job) -> None:
        docker, name = self._docker, new_name()
        await docker.images.inspect(job.request.image)
        container = await docker.containers.create(job.config(name), name=name)
        try:
            async with container.attach(stdout=True, stderr=True) as stream:
                await container.start()
                while await stream.read_out() is not None:
                    pass
            _check(await container.show())
        finally:
            await container.delete(v=True, force=True)
            await self._library.volumes.DockerVolume(docker, name).delete()


def _imported(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise PeerMissingError(f"{library} is not installed") from error


def _check(inspected: Any) -> None:
    state = inspected["State"]
    if state["Status"] != "exited" or state["ExitCode"]:
        raise RuntimeError(f"the container failed, or runs on behind its output: {state}")
