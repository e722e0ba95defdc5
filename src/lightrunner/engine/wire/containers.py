"""Structs of the operations on containers. Pure."""

import base64
import binascii
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, field

from lightrunner.engine.errors import EngineProtocolError

from .base import Wire, decode


class VolumeOptions(Wire):
    """Options of the volume that a mount creates."""

    labels: dict[str, str] = {}
    no_copy: bool = False


class TmpfsOptions(Wire):
    """Options of a folder in memory."""

    size_bytes: int = 0


class Mount(Wire):
    """An entry of HostConfig.Mounts. (In a bind string, the path ``/app:ro`` would be a path and an option.)"""

    type: str
    target: str
    source: str = ""
    read_only: bool = False
    volume_options: VolumeOptions | UnsetType = UNSET
    tmpfs_options: TmpfsOptions | UnsetType = UNSET


class DeviceRequest(Wire):
    """A request for devices, such as GPUs."""

    driver: str = ""
    count: int = 0
    device_ids: list[str] = field(default=[], name="DeviceIDs")
    capabilities: list[list[str]] = []


class LogConfig(Wire):
    """The log driver of a container."""

    type: str
    config: dict[str, str] = {}


class Ulimit(Wire):
    """A limit of each process; -1 is none. (Zero is a limit, and is sent.)"""

    name: str
    soft: int
    hard: int


class HostConfig(Wire):
    """A container's resources, isolation and mounts."""

    mounts: list[Mount] = []
    memory: int = 0
    memory_swap: int = 0
    nano_cpus: int = 0
    pids_limit: int | UnsetType = UNSET
    cap_drop: list[str] = []
    security_opt: list[str] = []
    readonly_rootfs: bool = False
    tmpfs: dict[str, str] = {}
    ulimits: list[Ulimit] = []
    userns_mode: str = ""
    storage_opt: dict[str, str] = {}
    extra_hosts: list[str] = []
    network_mode: str = ""
    runtime: str = ""
    device_requests: list[DeviceRequest] = []
    log_config: LogConfig | UnsetType = UNSET
    auto_remove: bool = False
    console_size: tuple[int, int] | UnsetType = UNSET


class Healthcheck(Wire):
    """A health check. The test ``["NONE"]`` disables the image's."""

    test: list[str] = []


class ContainerCreateRequest(Wire):
    """Body of POST /containers/create."""

    image: str
    entrypoint: list[str] | UnsetType = UNSET
    cmd: list[str] | UnsetType = UNSET
    env: list[str] = []
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    labels: dict[str, str] = {}
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    tty: bool = False
    network_disabled: bool = False
    healthcheck: Healthcheck | UnsetType = UNSET
    host_config: HostConfig = field(default_factory=HostConfig)


class ContainerUpdateRequest(Wire):
    """Body of POST /containers/{id}/update."""

    memory: int = 0
    memory_swap: int = 0


class ContainerCreateResponse(Wire):
    """Response of POST /containers/create."""

    id: str
    warnings: list[str] | None = None


class ContainerState(Wire):
    """The state of a container, in an inspect."""

    status: str = ""
    running: bool = False
    paused: bool = False
    oom_killed: bool = field(default=False, name="OOMKilled")
    dead: bool = False
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: str = ""
    finished_at: str = ""


class ContainerConfig(Wire):
    """The configuration of a container or an image: what to run, and how."""

    image: str = ""
    user: str = ""
    env: list[str] | None = None
    cmd: list[str] | None = None
    entrypoint: list[str] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    volumes: dict[str, Any] | None = None


class InspectedHostConfig(Wire):
    """What of a container's HostConfig is the daemon's last word, in an inspect."""

    memory: int = 0
    memory_swap: int = 0
    nano_cpus: int = 0
    pids_limit: int | None = None
    cap_drop: list[str] | None = None
    readonly_rootfs: bool = False
    runtime: str = ""


class NetworkSettings(Wire):
    """A container's networks, by name."""

    networks: dict[str, Any] | None = None


class ContainerInspectResponse(Wire):
    """GET /containers/{id}/json."""

    id: str
    name: str = ""
    created: str = ""
    image: str = ""
    state: ContainerState = field(default_factory=ContainerState)
    config: ContainerConfig = field(default_factory=ContainerConfig)
    host_config: InspectedHostConfig = field(default_factory=InspectedHostConfig)
    network_settings: NetworkSettings = field(default_factory=NetworkSettings)


class ContainerSummary(Wire):
    """An entry of GET /containers/json. `created` is in seconds since the epoch."""

    id: str
    names: list[str] | None = None
    image: str = ""
    image_id: str = field(default="", name="ImageID")
    created: int = 0
    state: str = ""
    status: str = ""
    labels: dict[str, str] | None = None


class WaitError(Wire):
    """Why the daemon has no exit code."""

    message: str = ""


class ContainerWaitResponse(Wire):
    """Response of POST /containers/{id}/wait. (Only 20.10 sends ``"Error": null``.)"""

    status_code: int
    error: WaitError | None = None


class CpuUsage(msgspec.Struct, kw_only=True):
    """CPU time of a container, in nanoseconds."""

    total_usage: int = 0


class CpuStats(msgspec.Struct, kw_only=True):
    """The CPU part of a container's stats."""

    cpu_usage: CpuUsage = field(default_factory=CpuUsage)


class ContainerStatsResponse(msgspec.Struct, kw_only=True):
    """GET /containers/{id}/stats. All figures are 0 for a container that is not running."""

    cpu_stats: CpuStats = field(default_factory=CpuStats)


class PathStat(msgspec.Struct, rename={"link_target": "linkTarget"}, kw_only=True):
    """The header X-Docker-Container-Path-Stat. `mode` is Go's os.FileMode, not st_mode."""

    name: str = ""
    size: int = 0
    mode: int = 0
    mtime: str = ""
    link_target: str = ""

    @property
    def is_dir(self) -> bool:
        """Whether the path is a folder (Go's ModeDir)."""
        return bool(self.mode & 1 << 31)

    @property
    def is_symlink(self) -> bool:
        """Whether the path is a symbolic link (Go's ModeSymlink)."""
        return bool(self.mode & 1 << 27)


CONTAINER_CREATE = msgspec.json.Decoder(ContainerCreateResponse)
CONTAINER_INSPECT = msgspec.json.Decoder(ContainerInspectResponse)
CONTAINER_LIST = msgspec.json.Decoder(list[ContainerSummary])
CONTAINER_WAIT = msgspec.json.Decoder(ContainerWaitResponse)
CONTAINER_STATS = msgspec.json.Decoder(ContainerStatsResponse)
PATH_STAT = msgspec.json.Decoder(PathStat)


def decode_path_stat(operation: str, header: str | None) -> PathStat:
    """Decode the header X-Docker-Container-Path-Stat: standard base64 of JSON."""
    if header is None:
        raise EngineProtocolError(f"{operation}: the response has no header X-Docker-Container-Path-Stat")
    try:
        body = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EngineProtocolError(f"{operation}: X-Docker-Container-Path-Stat is not base64") from error
    return decode(PATH_STAT, operation, body)
