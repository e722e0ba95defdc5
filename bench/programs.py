"""The docker CLI and runc, as programs."""

import json
import os
import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path
from typing import Any

from tools.private_engine import search_path

from .job import Job
from .libraries import PeerMissingError

DEBIAN_CLI = Path("/usr/bin/docker")
"""The one that belongs to the engine's version. Others on PATH may be newer, or slower for their plugins."""


class DockerCli:
    """``docker run --rm`` with lightrunner's sandbox spelled out.

    Args:
        host: the engine.
        home: an empty folder: no contexts, no plugins, no credentials of the user's.
    """

    name = "docker run"

    def __init__(self, host: str, home: Path) -> None:
        if not DEBIAN_CLI.exists():
            raise PeerMissingError(f"there is no {DEBIAN_CLI}")
        self._command = [str(DEBIAN_CLI), f"--host={host}"]
        self._environment = os.environ | {"DOCKER_CONFIG": str(home)}

    def close(self) -> None:
        """Nothing is kept."""

    def run(self, job: Job) -> None:
        """One whole run, its output thrown away."""
        self.call("run", "--rm", *job.cli_arguments())

    def call(self, *arguments: str) -> None:
        """One command, to its end."""
        subprocess.run([*self._command, *arguments], stdout=subprocess.DEVNULL, env=self._environment, check=True)

    def piped(self, *arguments: str) -> subprocess.Popen[bytes]:
        """One command, writing to a pipe."""
        return subprocess.Popen([*self._command, *arguments], stdout=subprocess.PIPE, env=self._environment)


class Runc:
    """``runc run``, without any daemon: the same kernel work, a network namespace included, and nothing around it.

    Args:
        rootfs: the tar of a root file system.
        folder: an empty folder for bundle and state.
    """

    name = "runc run"

    def __init__(self, rootfs: Path, folder: Path) -> None:
        if os.geteuid() != 0:
            raise PeerMissingError("runc needs root")
        if (program := shutil.which("runc", path=search_path())) is None:
            raise PeerMissingError("there is no runc")
        self._bundle = folder / "bundle"
        self._command = [program, "--root", str(folder / "state")]
        self._arguments: list[str] = []
        self._bundle.mkdir()
        with tarfile.open(rootfs) as archive:
            archive.extractall(self._bundle / "rootfs", filter="tar")
        subprocess.run([program, "spec", "--bundle", self._bundle], check=True)

    def close(self) -> None:
        """Nothing is kept."""

    def run(self, job: Job) -> None:
        """One container; of the job only the command counts."""
        arguments = ["sh", "-c", job.request.entrypoint or ""]
        if arguments != self._arguments:
            self._configure(arguments)
        command = [*self._command, "run", "--bundle", str(self._bundle), f"bench-{uuid.uuid4()}"]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)

    def _configure(self, arguments: list[str]) -> None:
        self._arguments = arguments
        path = self._bundle / "config.json"
        config: dict[str, Any] = json.loads(path.read_bytes())
        config["process"] |= {"terminal": False, "args": arguments}
        path.write_text(json.dumps(config))
