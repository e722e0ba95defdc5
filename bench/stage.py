"""The stage of every case: an engine, an image, folders on disk and in memory, and the available peers."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from lightrunner import DockerRunner
from tools.images import BUSYBOX_PACKAGES, ensure_busybox, rootfs
from tools.private_engine import PrivateEngine
from tools.raw_engine import RawEngine

from .floor import Floor
from .job import Job
from .libraries import AioDocker, DockerPy, PeerMissingError
from .programs import DockerCli, Runc

_MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - a tmpfs is what is asked for


class Peer(Protocol):
    """Somebody who can run a job, blocking."""

    name: str

    def run(self, job: Job) -> None:
        """One whole run."""
        ...

    def close(self) -> None:
        """Let go of what is kept between runs."""
        ...


P = TypeVar("P", bound=Peer)


@dataclass
class Stage:
    """The places and the players.

    Attributes:
        host: the engine's URL.
        image: a small image with a shell.
        quick: whether fewer rounds will do.
        runner: lightrunner, connected.
        floor: the raw calls, connected.
        cli: the docker CLI, where it is here.
        peers: all who can run any job; the CLI is one of them.
        runc: without an engine.
        places: folders by the name of what they are on: ``disk``, ``tmpfs``.
        missing: the peers that are not here, and why.
    """

    host: str
    image: str
    quick: bool
    runner: DockerRunner
    floor: Floor
    cli: DockerCli | None = None
    peers: list[Peer] = field(default_factory=list[Peer])
    runc: Runc | None = None
    places: dict[str, Path] = field(default_factory=dict[str, Path])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def rounds(self, usual: int, quick: int) -> int:
        """How many rounds, or of whatever else there may be fewer: the one or the other."""
        return quick if self.quick else usual


@asynccontextmanager
async def open_stage(host: str, disk: Path, *, quick: bool) -> AsyncGenerator[Stage]:
    """Set everything up, with folders below `disk`, and tidy it all away."""
    raw = RawEngine(host)
    with ExitStack() as stack:
        image = ensure_busybox(raw)
        floor = Floor(host)
        stack.callback(floor.close)
        async with DockerRunner(host=host) as runner:
            stage = Stage(host=host, image=image, quick=quick, runner=runner, floor=floor)
            _make_places(stage, stack, disk)
            _invite_all(stage, stack)
            yield stage


@contextmanager
def engine_at(host: str | None, disk: Path) -> Generator[str]:
    """The engine to measure: the given one, or a private one that nobody else uses, with its data below `disk`."""
    if host is not None:
        yield host
        return
    with PrivateEngine(extra_args=[f"--data-root={disk}/engine"]) as engine:
        yield engine.host


def _make_places(stage: Stage, stack: ExitStack, disk: Path) -> None:
    stage.places["disk"] = stack.enter_context(_folder(disk))
    if _MEMORY_DISK.is_dir():
        stage.places["tmpfs"] = stack.enter_context(_folder(_MEMORY_DISK))
    else:
        stage.missing["tmpfs"] = f"there is no {_MEMORY_DISK}"


def _invite_all(stage: Stage, stack: ExitStack) -> None:
    home, bundle = (stage.places["disk"] / name for name in ("cli", "runc"))
    home.mkdir()
    bundle.mkdir()
    stage.cli = _invite(stage, stack, DockerCli.name, lambda: DockerCli(stage.host, home))
    stage.runc = _invite(stage, stack, Runc.name, lambda: Runc(rootfs(BUSYBOX_PACKAGES), bundle))
    libraries = [
        _invite(stage, stack, DockerPy.name, lambda: DockerPy(stage.host)),
        _invite(stage, stack, AioDocker.name, lambda: AioDocker(stage.host)),
    ]
    stage.peers = [peer for peer in (stage.cli, *libraries) if peer is not None]


def _invite(stage: Stage, stack: ExitStack, name: str, make: Callable[[], P]) -> P | None:
    try:
        peer = make()
    except PeerMissingError as error:
        stage.missing[name] = str(error)
        return None
    stack.callback(peer.close)
    return peer


@contextmanager
def _folder(parent: Path) -> Generator[Path]:
    path = Path(tempfile.mkdtemp(prefix="lightrunner-bench-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)
