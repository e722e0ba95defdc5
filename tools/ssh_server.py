"""An sshd on the loopback interface with its own keys, and an `ssh` program that trusts it."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.private_engine import search_path

_START_TIMEOUT = 10.0


class SshServer:
    """A server that lets this user in at `destination`:`port`. Its `programs` folder has the `ssh` to put on PATH."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lr-ssh-", dir="/tmp"))
        self.programs = self._folder / "bin"
        self.destination = "root@127.0.0.1"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._sshd: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for name in ("host", "user"):
            key = self._folder / name
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        config = self._folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self._folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self._folder}/user.pub\nPasswordAuthentication no\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nStrictModes no\nMaxStartups 100\n"
        )
        sshd = shutil.which("sshd", path=search_path())
        assert sshd is not None, "there is no sshd: install openssh-server"
        self._sshd = subprocess.Popen([sshd, "-D", "-f", config], stderr=subprocess.DEVNULL)
        self._write_client()
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            assert time.monotonic() < deadline, "sshd does not answer"
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sshd is not None:
            self._sshd.terminate()
            self._sshd.wait()
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _write_client(self) -> None:
        host_key = (self._folder / "host.pub").read_text()
        (self._folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}")
        (self._folder / "ssh_config").write_text(
            f"IdentityFile {self._folder}/user\nUserKnownHostsFile {self._folder}/known_hosts\nIdentitiesOnly yes\n"
        )
        self.programs.mkdir()
        ssh = self.programs / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self._folder}/ssh_config "$@"\n')
        ssh.chmod(0o755)
