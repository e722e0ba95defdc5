"""Structs of the operations on swarms, nodes, services and tasks. Pure.

A spec that is read, changed and sent back loses what its struct does not have.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType, field

from .base import Wire
from .containers import Mount, Ulimit

NANOSECONDS = 1_000_000_000
"""Durations are nanoseconds."""


class SwarmInitRequest(Wire):
    """Body of POST /swarm/init."""

    listen_addr: str
    advertise_addr: str = ""
    force_new_cluster: bool = False


class SwarmJoinRequest(Wire):
    """Body of POST /swarm/join. The token says whether the node becomes a worker or a manager."""

    remote_addrs: list[str]
    join_token: str
    listen_addr: str
    advertise_addr: str = ""


class JoinTokens(Wire):
    """What a node needs to join."""

    worker: str
    manager: str


class Swarm(Wire):
    """A swarm."""

    id: str = field(name="ID")
    join_tokens: JoinTokens


class Version(Wire):
    """The version of an object. An update names the version that it changes, and fails if there is a newer one."""

    index: int = 0


class NodeSpec(Wire):
    """What a node is to be: Role ``worker`` or ``manager``, Availability ``active``, ``pause`` or ``drain``."""

    name: str = ""
    labels: dict[str, str] | None = None
    role: str = ""
    availability: str = ""


class NodeDescription(Wire):
    """What a node says of itself."""

    hostname: str = ""


class NodeStatus(Wire):
    """State: ``ready``, ``down``, ``unknown`` or ``disconnected``."""

    state: str = ""
    message: str = ""
    addr: str = ""


class ManagerStatus(Wire):
    """A manager, and whether it leads."""

    leader: bool = False
    reachability: str = ""
    addr: str = ""


class Node(Wire):
    """A machine of a swarm."""

    id: str = field(name="ID")
    version: Version = field(default_factory=Version)
    spec: NodeSpec = field(default_factory=NodeSpec)
    description: NodeDescription = field(default_factory=NodeDescription)
    status: NodeStatus = field(default_factory=NodeStatus)
    manager_status: ManagerStatus | None = None


class Privileges(Wire):
    """Daemons before API 1.44 (Docker 25) drop NoNewPrivileges without a word."""

    no_new_privileges: bool = False


class ContainerSpec(Wire):
    """A service's containers. There is no StdinOnce: the half-close of an attached stdin loses the output."""

    image: str = ""
    labels: dict[str, str] | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    hostname: str = ""
    env: list[str] | None = None
    dir: str = ""
    user: str = ""
    privileges: Privileges | None = None
    tty: bool = field(default=False, name="TTY")
    open_stdin: bool = False
    read_only: bool = False
    mounts: list[Mount] | None = None
    stop_grace_period: int | UnsetType = UNSET
    hosts: list[str] | None = None
    capability_drop: list[str] | None = None
    ulimits: list[Ulimit] | None = None


class ResourceLimits(Wire):
    """Most that a task may use."""

    nano_cpus: int = field(default=0, name="NanoCPUs")
    memory_bytes: int = 0
    pids: int = 0


class ResourceReservations(Wire):
    """What a node has to have left for a task."""

    nano_cpus: int = field(default=0, name="NanoCPUs")
    memory_bytes: int = 0


class Resources(Wire):
    """Limits and reservations."""

    limits: ResourceLimits | None = None
    reservations: ResourceReservations | None = None


class RestartPolicy(Wire):
    """When a task that has ended is replaced, and after how long."""

    condition: Literal["none", "on-failure", "any"] = "any"
    delay: int | UnsetType = UNSET
    max_attempts: int = 0


class Placement(Wire):
    """Where tasks may run: ``node.labels.gpu==yes``."""

    constraints: list[str] | None = None


class NetworkAttachment(Wire):
    """A network of a service, by its id or name."""

    target: str


class LogDriver(Wire):
    """The log driver of a service's containers."""

    name: str
    options: dict[str, str] = {}


class TaskSpec(Wire):
    """What each task of a service is."""

    container_spec: ContainerSpec | None = None
    resources: Resources | None = None
    restart_policy: RestartPolicy | None = None
    placement: Placement | None = None
    networks: list[NetworkAttachment] | None = None
    log_driver: LogDriver | None = None
    force_update: int = 0


class ReplicatedService(Wire):
    """A number of tasks, each replaced when it ends. (Zero is a number, and is sent.)"""

    replicas: int


class ReplicatedJob(Wire):
    """Tasks that run to their end, from API 1.41."""

    max_concurrent: int = 1
    total_completions: int = 1


class ServiceMode(Wire):
    """One of them."""

    replicated: ReplicatedService | None = None
    replicated_job: ReplicatedJob | None = None


class EndpointSpec(Wire):
    """``dnsrr`` gives a service no virtual IP address, which would need IPVS in the kernel."""

    mode: Literal["vip", "dnsrr"] = "vip"


class ServiceSpec(Wire):
    """A service: body of POST /services/create."""

    name: str
    task_template: TaskSpec
    labels: dict[str, str] | None = None
    mode: ServiceMode | None = None
    endpoint_spec: EndpointSpec | None = None


class Service(Wire):
    """A service."""

    id: str = field(name="ID")
    spec: ServiceSpec
    version: Version = field(default_factory=Version)
    created_at: str = ""


class ServiceCreateResponse(Wire):
    """Response of POST /services/create."""

    id: str = field(name="ID")


class ServiceUpdateResponse(Wire):
    """Response of POST /services/{id}/update."""

    warnings: list[str] | None = None


class ContainerStatus(Wire):
    """The container of a task."""

    container_id: str = field(default="", name="ContainerID")
    exit_code: int = 0


class TaskStatus(Wire):
    """State: ``pending``, ``preparing``, ``starting``, ``running``, ``complete``, ``failed``, ``rejected`` and others.

    `err` says why a task cannot go on, or has failed.
    """

    state: str = ""
    message: str = ""
    err: str = ""
    container_status: ContainerStatus | None = None


class Task(Wire):
    """One container of a service, or the plan of one. The API omits Slot 0."""

    id: str = field(name="ID")
    service_id: str = field(default="", name="ServiceID")
    slot: int = 0
    node_id: str = field(default="", name="NodeID")
    status: TaskStatus = field(default_factory=TaskStatus)
    desired_state: str = ""
    created_at: str = ""


SWARM = msgspec.json.Decoder(Swarm)
SWARM_INIT = msgspec.json.Decoder(str)
NODE = msgspec.json.Decoder(Node)
NODE_LIST = msgspec.json.Decoder(list[Node])
SERVICE = msgspec.json.Decoder(Service)
SERVICE_LIST = msgspec.json.Decoder(list[Service])
SERVICE_CREATE = msgspec.json.Decoder(ServiceCreateResponse)
SERVICE_UPDATE = msgspec.json.Decoder(ServiceUpdateResponse)
TASK = msgspec.json.Decoder(Task)
TASK_LIST = msgspec.json.Decoder(list[Task])
