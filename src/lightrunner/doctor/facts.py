"""What an examination has seen. Pure: structs."""

import msgspec

from lightrunner.engine.wire import Network, SystemInfo
from lightrunner.results import ReapResult


class Disk(msgspec.Struct, frozen=True):
    """A file system, by a path on it, in bytes. `free` is what an unprivileged user can have."""

    path: str
    free: int
    total: int


class StateFolder(msgspec.Struct, frozen=True, kw_only=True):
    """The folder of detached runs' states.

    Attributes:
        path: where it is; empty if it has no place.
        exists: whether it exists; it is created when it is needed.
        problem: why it cannot be used; None if it can.
        is_private: nobody else can write to it.
        disk: the file system that it is on.
    """

    path: str
    exists: bool = False
    problem: str | None = None
    is_private: bool = True
    disk: Disk | None = None


class DaemonFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon that answers.

    Attributes:
        version: of the daemon.
        api_version: the newest that it speaks, such as ``1.41``.
        used_version: the one that is spoken with it; None: there is none in common, and nothing else is known.
        info: its configuration.
        seconds_ahead: how far its clock is ahead of this host's; None if it does not tell.
        network: the default network of runs; None if it was not made yet.
        disk: the file system of its images and containers; None if it is not on this host.
        leftovers: what dead runs have left.
    """

    api_version: str
    used_version: str | None = None
    info: SystemInfo = msgspec.field(default_factory=SystemInfo)
    seconds_ahead: float | None = None
    network: Network | None = None
    disk: Disk | None = None
    leftovers: ReapResult = ReapResult((), ())


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen.

    Attributes:
        endpoint: the daemon's URL; empty if none could be made out.
        source: what named it.
        is_plain_tcp: it is reached over TCP without encryption.
        problem: why the daemon, or one of its answers, is not to be had; None if all went well.
        socket: the daemon's Unix socket on this host.
        socket_exists: whether there is something at that path.
        socket_is_allowed: whether this user may connect to it.
        daemon: None if there was no answer.
        state: the state folder.
    """

    endpoint: str
    source: str = ""
    is_plain_tcp: bool = False
    problem: str | None = None
    socket: str = ""
    socket_exists: bool = True
    socket_is_allowed: bool = True
    daemon: DaemonFacts | None = None
    state: StateFolder
