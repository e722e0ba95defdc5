"""The Engine API's requests and responses: the fields that this client uses. Pure.

Structs, and one decoder per response. Names are the API's, in snake_case. Decoders skip all other fields.

base.py        the base of the structs, `encode`, `decode`
system.py      versions, /info
containers.py  containers: create, inspect, list, wait, the stat of a path
images.py volumes.py networks.py
"""

from .base import Wire as Wire
from .base import decode as decode
from .base import decode_lines as decode_lines
from .base import encode as encode
from .containers import CONTAINER_CREATE as CONTAINER_CREATE
from .containers import CONTAINER_INSPECT as CONTAINER_INSPECT
from .containers import CONTAINER_LIST as CONTAINER_LIST
from .containers import CONTAINER_STATS as CONTAINER_STATS
from .containers import CONTAINER_WAIT as CONTAINER_WAIT
from .containers import PATH_STAT as PATH_STAT
from .containers import ContainerConfig as ContainerConfig
from .containers import ContainerCreateRequest as ContainerCreateRequest
from .containers import ContainerCreateResponse as ContainerCreateResponse
from .containers import ContainerInspectResponse as ContainerInspectResponse
from .containers import ContainerState as ContainerState
from .containers import ContainerStatsResponse as ContainerStatsResponse
from .containers import ContainerSummary as ContainerSummary
from .containers import ContainerWaitResponse as ContainerWaitResponse
from .containers import CpuStats as CpuStats
from .containers import CpuUsage as CpuUsage
from .containers import DeviceRequest as DeviceRequest
from .containers import Healthcheck as Healthcheck
from .containers import HostConfig as HostConfig
from .containers import LogConfig as LogConfig
from .containers import Mount as Mount
from .containers import PathStat as PathStat
from .containers import Ulimit as Ulimit
from .containers import VolumeOptions as VolumeOptions
from .containers import WaitError as WaitError
from .containers import decode_path_stat as decode_path_stat
from .images import IMAGE_COMMIT as IMAGE_COMMIT
from .images import IMAGE_DELETE as IMAGE_DELETE
from .images import IMAGE_INSPECT as IMAGE_INSPECT
from .images import IMAGE_LIST as IMAGE_LIST
from .images import ImageCommitResponse as ImageCommitResponse
from .images import ImageConfig as ImageConfig
from .images import ImageDeleteItem as ImageDeleteItem
from .images import ImageInspectResponse as ImageInspectResponse
from .images import ImageSummary as ImageSummary
from .networks import NETWORK as NETWORK
from .networks import NETWORK_CREATE as NETWORK_CREATE
from .networks import NETWORK_LIST as NETWORK_LIST
from .networks import NETWORK_PRUNE as NETWORK_PRUNE
from .networks import Network as Network
from .networks import NetworkCreateRequest as NetworkCreateRequest
from .networks import NetworkCreateResponse as NetworkCreateResponse
from .networks import NetworkPruneResponse as NetworkPruneResponse
from .system import EVENT as EVENT
from .system import SYSTEM_INFO as SYSTEM_INFO
from .system import SYSTEM_VERSION as SYSTEM_VERSION
from .system import Event as Event
from .system import EventActor as EventActor
from .system import Runtime as Runtime
from .system import SystemInfo as SystemInfo
from .system import SystemVersion as SystemVersion
from .volumes import VOLUME as VOLUME
from .volumes import VOLUME_LIST as VOLUME_LIST
from .volumes import VOLUME_PRUNE as VOLUME_PRUNE
from .volumes import Volume as Volume
from .volumes import VolumeCreateRequest as VolumeCreateRequest
from .volumes import VolumeListResponse as VolumeListResponse
from .volumes import VolumePruneResponse as VolumePruneResponse
