"""A daemon with live-restore: it dies without its containers, and returns to them."""

import os
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tools.private_engine import PrivateEngine, answers

PATIENCE = 30.0
"""Seconds; about 1 was seen."""


@contextmanager
def restoring_engine() -> Generator[tuple[PrivateEngine, ExitStack]]:
    """An engine whose containers outlive its daemon; and what is to be waited for once it has ended."""
    with ExitStack() as stack, PrivateEngine(config={"live-restore": True}) as engine:
        yield engine, stack


@contextmanager
def daemon_away(engine: PrivateEngine, stack: ExitStack) -> Generator[None]:
    """Kill dockerd and nothing else; at the block's end it is started again, and lives until the engine is stopped.

    The shell that is the first process of the engine's namespace would end with dockerd, and everything with it: it is
    stopped, so that it does not learn of that.
    """
    folder = engine.socket.parent
    # The oldest child. The others are containers' shims, left to it.
    dockerd = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()[0]
    command, environ = (
        [part.decode() for part in Path(f"/proc/{dockerd}/{name}").read_bytes().split(b"\0")[:-1]]
        for name in ("cmdline", "environ")
    )
    os.kill(engine.pid, signal.SIGSTOP)
    os.kill(int(dockerd), signal.SIGKILL)
    _wait(engine, up=False)
    # Nobody reaps the dead, and what they wrote here would make the next ones think that they live.
    for name in ("pid", "docker.sock", "exec/containerd/containerd.pid"):
        (folder / name).unlink(missing_ok=True)
    yield
    enter = ["nsenter", f"--target={engine.pid}", "--net", "--mount", "--pid", *command]
    with engine.log_path.open("ab") as log:
        # Its PATH decides which version it is.
        environment = dict(variable.split("=", 1) for variable in environ)
        stack.enter_context(subprocess.Popen(enter, stdout=log, stderr=log, env=environment))
    _wait(engine, up=True)


def _wait(engine: PrivateEngine, *, up: bool) -> None:
    give_up = time.monotonic() + PATIENCE
    while answers(engine.host) is not up:
        assert time.monotonic() < give_up, engine.log_path.read_text()[-3000:]
        time.sleep(0.05)
