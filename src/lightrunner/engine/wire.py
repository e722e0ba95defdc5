"""The Engine API's requests and responses, as far as this client uses them.

Pure: structs, the encoder, and one decoder for each response, made once. Fields that are not named here are skipped.
Names follow the API's, in snake_case.
"""

import base64
import binascii
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType, field

from .errors import EngineProtocolError

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


class Wire(msgspec.Struct, rename="pascal", omit_defaults=True, kw_only=True):
    """Base of all: PascalCase on the wire, defaults are not sent."""


# --- system -------------------------------------------------------------------------------------------------------


class SystemVersion(Wire):
    """GET /version."""

    version: str = ""
    api_version: str = ""
    min_api_version: str = field(default="", name="MinAPIVersion")
    os: str = ""
    arch: str = ""
    kernel_version: str = ""


class Runtime(msgspec.Struct, kw_only=True):
    """A runtime that the daemon knows: its program, or containerd's shim."""

    path: str = ""
    type: str = ""


class SystemInfo(Wire):
    """GET /info."""

    id: str = field(default="", name="ID")
    name: str = ""
    server_version: str = ""
    operating_system: str = ""
    kernel_version: str = ""
    architecture: str = ""
    driver: str = ""
    cgroup_driver: str = ""
    cgroup_version: str = ""
    ncpu: int = field(default=0, name="NCPU")
    mem_total: int = 0
    containers: int = 0
    images: int = 0
    default_runtime: str = ""
    runtimes: dict[str, Runtime] = {}
    security_options: list[str] | None = None
    live_restore_enabled: bool = False


# --- containers ---------------------------------------------------------------------------------------------------


class VolumeOptions(Wire):
    """Options of a volume that a mount makes."""

    labels: dict[str, str] = {}
    no_copy: bool = False


class Mount(Wire):
    """One entry of HostConfig.Mounts. (A bind string would read an option out of ``/app:ro``.)"""

    type: str
    target: str
    source: str = ""
    read_only: bool = False
    volume_options: VolumeOptions | UnsetType = UNSET


class DeviceRequest(Wire):
    """GPUs, mostly."""

    driver: str = ""
    count: int = 0
    device_ids: list[str] = field(default=[], name="DeviceIDs")
    capabilities: list[list[str]] = []


class LogConfig(Wire):
    """The log driver of a container."""

    type: str
    config: dict[str, str] = {}


class HostConfig(Wire):
    """How the host runs a container."""

    mounts: list[Mount] = []
    memory: int = 0
    memory_swap: int = 0
    nano_cpus: int = 0
    pids_limit: int | UnsetType = UNSET
    cap_drop: list[str] = []
    security_opt: list[str] = []
    network_mode: str = ""
    runtime: str = ""
    device_requests: list[DeviceRequest] = []
    log_config: LogConfig | UnsetType = UNSET
    auto_remove: bool = False


class Healthcheck(Wire):
    """``["NONE"]`` switches an image's health check off."""

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


class ContainerCreateResponse(Wire):
    """What POST /containers/create answers."""

    id: str
    warnings: list[str] | None = None


class ContainerState(Wire):
    """State of a container, in an inspect."""

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
    """What a container or an image is configured to run."""

    image: str = ""
    user: str = ""
    env: list[str] | None = None
    cmd: list[str] | None = None
    entrypoint: list[str] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    volumes: dict[str, Any] | None = None


class ContainerInspectResponse(Wire):
    """GET /containers/{id}/json."""

    id: str
    name: str = ""
    created: str = ""
    image: str = ""
    state: ContainerState = field(default_factory=ContainerState)
    config: ContainerConfig = field(default_factory=ContainerConfig)


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
    """Why the daemon could not tell an exit code."""

    message: str = ""


class ContainerWaitResponse(Wire):
    """What POST /containers/{id}/wait ends with. (20.10 alone says ``"Error": null``.)"""

    status_code: int
    error: WaitError | None = None


class PathStat(msgspec.Struct, rename={"link_target": "linkTarget"}, kw_only=True):
    """X-Docker-Container-Path-Stat. `mode` is Go's os.FileMode, not st_mode."""

    name: str = ""
    size: int = 0
    mode: int = 0
    mtime: str = ""
    link_target: str = ""

    @property
    def is_dir(self) -> bool:
        """Go's ModeDir."""
        return bool(self.mode & 1 << 31)

    @property
    def is_symlink(self) -> bool:
        """Go's ModeSymlink."""
        return bool(self.mode & 1 << 27)


# --- images -------------------------------------------------------------------------------------------------------


class ImageInspectResponse(Wire):
    """GET /images/{name}/json. `parent` is empty but for images that the classic builder made here."""

    id: str
    parent: str = ""
    repo_tags: list[str] | None = None
    repo_digests: list[str] | None = None
    created: str | None = None
    size: int = 0
    architecture: str = ""
    os: str = ""
    config: ContainerConfig | None = None


class ImageSummary(Wire):
    """An entry of GET /images/json. `created` is in seconds since the epoch, `size` in bytes."""

    id: str
    parent_id: str = ""
    repo_tags: list[str] | None = None
    repo_digests: list[str] | None = None
    created: int = 0
    size: int = 0
    labels: dict[str, str] | None = None
    containers: int = -1


class ImageDeleteItem(Wire):
    """One entry of what DELETE /images/{name} answers."""

    untagged: str = ""
    deleted: str = ""


# --- volumes and networks -----------------------------------------------------------------------------------------


class VolumeCreateRequest(Wire):
    """Body of POST /volumes/create."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] = {}


class Volume(Wire):
    """A volume."""

    name: str
    driver: str = ""
    mountpoint: str = ""
    created_at: str = ""
    labels: dict[str, str] | None = None
    scope: str = ""


class VolumeListResponse(Wire):
    """GET /volumes."""

    volumes: list[Volume] | None = None


class VolumePruneResponse(Wire):
    """POST /volumes/prune."""

    volumes_deleted: list[str] | None = None
    space_reclaimed: int = 0


class NetworkCreateRequest(Wire):
    """Body of POST /networks/create."""

    name: str
    driver: str = ""
    check_duplicate: bool = False
    internal: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class NetworkCreateResponse(Wire):
    """What POST /networks/create answers."""

    id: str


class Network(Wire):
    """A network."""

    name: str
    id: str
    created: str = ""
    driver: str = ""
    scope: str = ""
    internal: bool = False
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    containers: dict[str, Any] | None = None


class NetworkPruneResponse(Wire):
    """POST /networks/prune."""

    networks_deleted: list[str] | None = None


SYSTEM_VERSION = msgspec.json.Decoder(SystemVersion)
SYSTEM_INFO = msgspec.json.Decoder(SystemInfo)
CONTAINER_CREATE = msgspec.json.Decoder(ContainerCreateResponse)
CONTAINER_INSPECT = msgspec.json.Decoder(ContainerInspectResponse)
CONTAINER_LIST = msgspec.json.Decoder(list[ContainerSummary])
CONTAINER_WAIT = msgspec.json.Decoder(ContainerWaitResponse)
PATH_STAT = msgspec.json.Decoder(PathStat)
IMAGE_INSPECT = msgspec.json.Decoder(ImageInspectResponse)
IMAGE_LIST = msgspec.json.Decoder(list[ImageSummary])
IMAGE_DELETE = msgspec.json.Decoder(list[ImageDeleteItem])
VOLUME = msgspec.json.Decoder(Volume)
VOLUME_LIST = msgspec.json.Decoder(VolumeListResponse)
VOLUME_PRUNE = msgspec.json.Decoder(VolumePruneResponse)
NETWORK = msgspec.json.Decoder(Network)
NETWORK_CREATE = msgspec.json.Decoder(NetworkCreateResponse)
NETWORK_LIST = msgspec.json.Decoder(list[Network])
NETWORK_PRUNE = msgspec.json.Decoder(NetworkPruneResponse)


def encode(value: object) -> bytes:
    """JSON for a request's body or a query's filters."""
    return _encoder.encode(value)


def decode(decoder: msgspec.json.Decoder[T], operation: str, body: bytes) -> T:
    """A response's struct, straight from its bytes.

    Raises:
        EngineProtocolError: where the body is not that JSON.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EngineProtocolError(f"{operation}: an answer that cannot be read: {error}") from error


def decode_path_stat(operation: str, header: str | None) -> PathStat:
    """The header X-Docker-Container-Path-Stat: standard base64 of JSON."""
    if header is None:
        raise EngineProtocolError(f"{operation}: an answer without X-Docker-Container-Path-Stat")
    try:
        body = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EngineProtocolError(f"{operation}: X-Docker-Container-Path-Stat is not base64") from error
    return decode(PATH_STAT, operation, body)
