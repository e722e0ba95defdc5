"""One container, described alike to every peer, so that all of them do the same work."""

import io
import json
import tarfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightrunner import ExtractSpec, RunnerOptions, RunRequest
from lightrunner.engine import wire
from lightrunner.plan import RunPlan, check_options, check_request
from lightrunner.rules.limits import DEFAULT_PIDS, DROPPED_CAPABILITIES
from lightrunner.runs.container import container_spec


@dataclass(frozen=True)
class Job:
    """A shell command in lightrunner's own sandbox: its limits, its volume at the workdir, no daemon log.

    Args:
        request: what lightrunner is asked to run; the others get what it makes of it.
        archive: for peers that do not read folders: the request's `dir` as a tar.
    """

    request: RunRequest
    archive: bytes | None = None

    @property
    def plan(self) -> RunPlan:
        """The request as lightrunner understands it."""
        return check_request(self.request)

    @property
    def network(self) -> str:
        """The network's name."""
        return self.request.network or "light-runner-isolated"

    @property
    def extract(self) -> str | None:
        """The one path to pull out."""
        for spec in self.request.extract:
            assert isinstance(spec, ExtractSpec)
            return spec.from_
        return None

    def body(self, name: str) -> bytes:
        """The body of a container create; its volume has the container's name."""
        run_id = name.removeprefix("light-runner-")
        sandbox = check_options(RunnerOptions())
        image = self.request.image
        return wire.encode(container_spec(self.plan, sandbox, image=image, run_id=run_id, network_mode=self.network))

    def config(self, name: str) -> dict[str, Any]:
        """The same for libraries that want a dictionary."""
        decoded: dict[str, Any] = json.loads(self.body(name))
        return decoded

    def cli_arguments(self) -> list[str]:
        """The same as arguments of ``docker run`` and ``docker create``."""
        return [
            f"--network={self.network}",
            f"--volume={self.request.workdir}",  # anonymous: --rm removes it with the container
            f"--workdir={self.request.workdir}",
            "--memory=512m",
            "--memory-swap=512m",
            "--cpus=1",
            f"--pids-limit={DEFAULT_PIDS}",
            "--security-opt=no-new-privileges",
            *(f"--cap-drop={name}" for name in DROPPED_CAPABILITIES),
            "--no-healthcheck",
            "--log-driver=none",
            "--entrypoint=sh",
            self.request.image,
            "-c",
            self.request.entrypoint or "",
        ]


def no_op(image: str, network: str | None) -> Job:
    """``true``, with its output read to its end; None is the default network."""
    return Job(RunRequest(image=image, entrypoint="true", network=network, capture_output=True))


def new_name() -> str:
    """A name for a container and its volume, as lightrunner chooses them: its reaper may clean up after a crash."""
    return f"light-runner-{uuid.uuid4()}"


def archived(folder: Path) -> bytes:
    """A folder's contents as a tar."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(folder, arcname=".")
    return made.getvalue()
