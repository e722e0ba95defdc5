"""Structs of the operations on the daemon: its versions, its configuration and its host. Pure."""

import msgspec
from msgspec import field

from .base import Wire


class SystemVersion(Wire):
    """GET /version."""

    version: str = ""
    api_version: str = ""
    min_api_version: str = field(default="", name="MinAPIVersion")
    os: str = ""
    arch: str = ""
    kernel_version: str = ""


class Runtime(msgspec.Struct, kw_only=True):
    """A runtime that the daemon knows. `path` is its program, `type` its containerd shim."""

    path: str = ""
    type: str = ""


class SystemInfo(Wire):
    """GET /info. Of the limits, `swap_limit` and the like tell whether the kernel can enforce them."""

    id: str = field(default="", name="ID")
    name: str = ""
    server_version: str = ""
    operating_system: str = ""
    kernel_version: str = ""
    architecture: str = ""
    driver: str = ""
    driver_status: list[list[str]] | None = None
    cgroup_driver: str = ""
    cgroup_version: str = ""
    ncpu: int = field(default=0, name="NCPU")
    mem_total: int = 0
    containers: int = 0
    images: int = 0
    default_runtime: str = ""
    system_time: str = ""
    runtimes: dict[str, Runtime] = {}
    security_options: list[str] | None = None
    live_restore_enabled: bool = False
    os_type: str = field(default="", name="OSType")
    docker_root_dir: str = ""
    memory_limit: bool = True
    swap_limit: bool = True
    pids_limit: bool = True
    cpu_cfs_quota: bool = field(default=True, name="CpuCfsQuota")
    warnings: list[str] | None = None


class EventActor(Wire):
    """The object that an event is about."""

    id: str = field(default="", name="ID")
    attributes: dict[str, str] = {}


class Event(msgspec.Struct, kw_only=True, rename={"type": "Type", "action": "Action", "actor": "Actor"}):
    """A line of GET /events."""

    type: str = ""
    action: str = ""
    actor: EventActor = field(default_factory=EventActor)


SYSTEM_VERSION = msgspec.json.Decoder(SystemVersion)
SYSTEM_INFO = msgspec.json.Decoder(SystemInfo)
EVENT = msgspec.json.Decoder(Event)
