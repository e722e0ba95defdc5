"""Facts about a daemon and this host: structs (pure)."""

import msgspec

from lightrunner.engine.wire import Network, SystemInfo
from lightrunner.results import ReapResult


class Disk(msgspec.Struct, frozen=True):
    """The file system of a path. Sizes are in bytes; `free` is the space for unprivileged users."""

    path: str
    free: int
    total: int


class StateFolder(msgspec.Struct, frozen=True, kw_only=True):
    """The state folder of detached runs.

    Attributes:
        path: its path; empty if there is no home folder to put it in.
        exists: whether it exists. The first detached run creates it.
        problem: why it cannot be used; None if it can.
        is_private: whether only its owner can write to it.
        disk: its file system.
    """

    path: str
    exists: bool = False
    problem: str | None = None
    is_private: bool = True
    disk: Disk | None = None


class DaemonFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon that responds.

    Attributes:
        api_version: the newest API version that it supports, such as ``1.41``.
        used_version: the API version that lightrunner uses with it; None if they have none in common. The other
            attributes then have their defaults.
        info: its configuration.
        seconds_ahead: how far its clock is ahead of this host's, in seconds; None if it does not report a time.
        network: the default network of runs; None if no run has created it yet.
        disk: the file system of its images and containers; None if it is not on this host.
        leftovers: the containers and volumes of runs whose process has died.
    """

    api_version: str
    used_version: str | None = None
    info: SystemInfo = msgspec.field(default_factory=SystemInfo)
    seconds_ahead: float | None = None
    network: Network | None = None
    disk: Disk | None = None
    leftovers: ReapResult = ReapResult((), ())


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one examination.

    Attributes:
        endpoint: the daemon's URL; empty if the configuration names none that is valid.
        source: the option, variable or context that named it.
        is_plain_tcp: whether it is reached over TCP without encryption.
        problem: the error of the connection or of a call; None without one.
        socket: the daemon's Unix socket on this host.
        socket_exists: whether that path exists.
        socket_is_allowed: whether this user may connect to it.
        daemon: the daemon; None if it did not respond.
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
