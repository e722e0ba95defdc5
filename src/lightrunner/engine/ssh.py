"""Reach a daemon over ssh: forward a local Unix socket to the daemon's.

One `ssh` process serves all connections. The far side needs no Docker CLI, and the half-close of stdin passes through.
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
"""Seconds for logging in. 0.3 s were seen on one machine."""

_STOP_TIMEOUT: Final = 5.0
_POLL: Final = 0.01

_OPTIONS: Final = (
    "-o",
    "BatchMode=yes",  # Without a terminal nobody can answer a question.
    "-o",
    "ExitOnForwardFailure=yes",
    "-o",
    "ServerAliveInterval=15",
    "-N",
    "-T",
)


class SshForward:
    """The forwarded socket of one daemon. It owns a process and a folder, and no tasks."""

    def __init__(self, target: SshTarget) -> None:
        self._target = target
        self._folder = Path(tempfile.gettempdir()) / f"lightrunner-{secrets.token_hex(8)}"
        self._process: trio.Process | None = None
        self._starting = trio.Lock()
        self._socket = self._folder / "s"
        self.endpoint = Endpoint(socket=str(self._socket), ssh=target)

    async def ensure(self) -> None:
        """Start ``ssh`` unless it runs, and wait until connections can be made.

        Raises:
            EngineUnreachable: there is no ``ssh`` program, or it cannot log in or forward; with its own words.
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
            process.terminate()
            with trio.move_on_after(_STOP_TIMEOUT, shield=True) as scope:
                await process.wait()
            if scope.cancelled_caught:
                process.kill()
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
            # Shielded: a process that has started must be known here, to be ended.
            with log.open("wb") as stderr, trio.CancelScope(shield=True):
                self._process = await trio.lowlevel.open_process(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,  # Ctrl-C is for the caller, who then ends runs over this connection.
                )
            process = self._process
            assert process is not None
            with trio.move_on_after(_START_TIMEOUT):
                while process.poll() is None and not is_ready:
                    await trio.sleep(_POLL)
                    is_ready = self._socket.exists()
            if not is_ready:
                reason = log.read_text(errors="replace").strip() or f"not logged in after {_START_TIMEOUT:g} s"
                raise EngineUnreachable(f"cannot connect to {self._target}: ssh: {reason}")
        except OSError as error:
            reason = error.strerror or str(error)
            raise EngineUnreachable(f"cannot connect to {self._target}: ssh cannot be started: {reason}") from error
        finally:
            if not is_ready:
                await self.aclose()
