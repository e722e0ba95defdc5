"""Reach a daemon over ssh: forward a local Unix socket to the daemon's socket.

One `ssh` process serves all connections. The remote host needs no Docker CLI, and the half-close of stdin is forwarded.
"""

import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import trio

from .endpoint import Endpoint, SshTarget
from .errors import EngineUnreachable

_START_TIMEOUT: Final = 30.0
"""Seconds for logging in. On one machine it took 0.3 s."""

_STOP_TIMEOUT: Final = 5.0
_POLL: Final = 0.01

_OPTIONS: Final = (
    "-o",
    "BatchMode=yes",  # There is no terminal to answer questions on.
    "-o",
    "ExitOnForwardFailure=yes",
    "-o",
    "ServerAliveInterval=15",
    "-N",
    "-T",
)


class SshForward:
    """The forwarded socket of one daemon. It owns a process and a folder, but no tasks."""

    def __init__(self, target: SshTarget) -> None:
        self._target = target
        self._folder = Path(tempfile.gettempdir()) / f"lightrunner-{secrets.token_hex(8)}"
        self._process: trio.Process | None = None
        self._starting = trio.Lock()
        self._socket = self._folder / "s"
        self.endpoint = Endpoint(socket=str(self._socket), ssh=target)

    async def ensure(self) -> None:
        """Start ``ssh`` unless it is running, and wait until the socket accepts connections.

        Raises:
            EngineUnreachable: there is no ``ssh`` program, or it cannot log in or forward. The message has its output.
        """
        if self._process is not None and self._process.poll() is None:
            return
        async with self._starting:
            if self._process is None or self._process.poll() is not None:
                await self._start()

    async def aclose(self) -> None:
        """End ``ssh`` and remove the folder. Shielded and bounded."""
        process, self._process = self._process, None
        if process is not None:
            for end in (process.terminate, process.kill):
                end()
                with trio.move_on_after(_STOP_TIMEOUT, shield=True):
                    await process.wait()
                if process.returncode is not None:
                    break
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _start(self) -> None:
        await self.aclose()
        self._folder.mkdir(mode=0o700)
        log = self._folder / "log"
        port = ["-p", str(self._target.port)] if self._target.port is not None else []
        forward = f"{self.endpoint.socket}:{self._target.socket}"
        command = ["ssh", *_OPTIONS, *port, "-L", forward, "--", self._target.destination]
        is_ready = False
        try:
            # Shielded: a process that has started must be in `_process`, so that `aclose` ends it.
            with log.open("wb") as stderr, trio.CancelScope(shield=True):
                self._process = await trio.lowlevel.open_process(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,  # Ctrl-C must not end it: runs are cleaned up over it.
                )
            process = self._process
            assert process is not None
            with trio.move_on_after(_START_TIMEOUT):
                while process.poll() is None and not is_ready:
                    await trio.sleep(_POLL)
                    is_ready = self._socket.exists()
            if not is_ready:
                reason = log.read_text(errors="replace").strip() or f"no login within {_START_TIMEOUT:g} s"
                raise EngineUnreachable(f"cannot connect to {self._target}: ssh: {reason}")
        except OSError as error:
            reason = error.strerror or str(error)
            raise EngineUnreachable(f"cannot connect to {self._target}: ssh cannot be started: {reason}") from error
        finally:
            if not is_ready:
                await self.aclose()
