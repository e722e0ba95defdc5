"""The fake daemon's operations on volumes, networks and itself, and what containers use."""

from typing import Any, Final

import msgspec

from .container_operations import Operation
from .daemon import Daemon, Network, Refusal, Volume, filters_of, labels_match, timestamp
from .http import Answer, Request, json_answer, plain

_BRIDGE_NAME: Final = "com.docker.network.bridge.name"


async def _info(daemon: Daemon, _: Request) -> Answer:
    return json_answer(
        {
            "ID": "FAKE",
            "Name": "fake",
            "ServerVersion": "fake",
            "OperatingSystem": "lightrunner's fake engine",
            "Architecture": "x86_64",
            "Driver": "memory",
            "CgroupVersion": "2",
            "NCPU": 1,
            "MemTotal": 1 << 30,
            "Containers": len(daemon.containers),
            "Images": len(daemon.images),
            "DefaultRuntime": "runc",
            "Runtimes": {name: {"path": name} for name in daemon.runtimes},
            "SecurityOptions": [],
        }
    )


async def _container_stats(daemon: Daemon, request: Request) -> Answer:
    """A fake container's program is a task of the test: it uses no CPU time of a container's."""
    daemon.container(_name_of(request))
    return json_answer({"cpu_stats": {"cpu_usage": {"total_usage": 0}}})


# --- volumes --------------------------------------------------------------------------------------------------------


def _name_of(request: Request) -> str:
    name: str = request.path.split("/")[2]
    return name


def _volume(daemon: Daemon, request: Request) -> Volume:
    name = _name_of(request)
    if name not in daemon.volumes:
        raise Refusal(404, f"get {name}: no such volume")
    return daemon.volumes[name]


def _users_of(daemon: Daemon, volume: Volume) -> list[str]:
    """The ids of the containers that a volume is mounted in."""
    return [
        container.id
        for container in daemon.containers.values()
        for mount in container.mounts
        if mount.get("Source") == volume.name
    ]


def _volume_json(volume: Volume) -> dict[str, Any]:
    return {
        "Name": volume.name,
        "Driver": "local",
        "Mountpoint": f"/fake/{volume.name}",
        "CreatedAt": timestamp(volume.created),
        "Labels": volume.labels,
        "Scope": "local",
    }


async def _volume_create(daemon: Daemon, request: Request) -> Answer:
    spec = msgspec.json.decode(request.body)
    name = spec.get("Name") or daemon.new_id()
    created = Volume(name=name, labels=spec.get("Labels") or {}, created=daemon.now())
    return json_answer(_volume_json(daemon.volumes.setdefault(name, created)), status=201)


async def _volume_inspect(daemon: Daemon, request: Request) -> Answer:
    return json_answer(_volume_json(_volume(daemon, request)))


async def _volume_list(daemon: Daemon, request: Request) -> Answer:
    wanted = filters_of(request)
    volumes = [
        _volume_json(volume)
        for volume in daemon.volumes.values()
        if labels_match(volume.labels, wanted.get("label", []))
        and ("name" not in wanted or any(text in volume.name for text in wanted["name"]))
    ]
    return json_answer({"Volumes": volumes, "Warnings": None})


async def _volume_delete(daemon: Daemon, request: Request) -> Answer:
    volume = _volume(daemon, request)
    if users := _users_of(daemon, volume):
        raise Refusal(409, f"remove {volume.name}: volume is in use - {users}")
    del daemon.volumes[volume.name]
    return plain(status=204)


async def _volume_prune(daemon: Daemon, request: Request) -> Answer:
    wanted = filters_of(request).get("label", [])
    unused = [
        volume.name
        for volume in daemon.volumes.values()
        if labels_match(volume.labels, wanted) and not _users_of(daemon, volume)
    ]
    for name in unused:
        del daemon.volumes[name]
    return json_answer({"VolumesDeleted": unused, "SpaceReclaimed": 0})


# --- networks -------------------------------------------------------------------------------------------------------


def _network_json(daemon: Daemon, network: Network) -> dict[str, Any]:
    return {
        "Name": network.name,
        "Id": network.id,
        "Driver": network.driver,
        "Scope": "local",
        "Options": network.options,
        "Labels": network.labels,
        "Containers": {container.id: {"Name": container.name} for container in daemon.users_of(network)},
    }


async def _network_create(daemon: Daemon, request: Request) -> Answer:
    spec: dict[str, Any] = msgspec.json.decode(request.body)
    options: dict[str, str] = spec.get("Options") or {}
    bridge = options.get(_BRIDGE_NAME)
    if bridge and any(it.options.get(_BRIDGE_NAME) == bridge for it in daemon.networks.values()):
        raise Refusal(403, f"network with name {bridge} already exists: conflicts in bridge name")
    network = Network(
        id=daemon.new_id(),
        name=spec["Name"],
        driver=spec.get("Driver") or "bridge",
        options=options,
        labels=spec.get("Labels") or {},
    )
    daemon.networks[network.id] = network
    return json_answer({"Id": network.id, "Warning": ""}, status=201)


async def _network_inspect(daemon: Daemon, request: Request) -> Answer:
    return json_answer(_network_json(daemon, daemon.network(_name_of(request))))


async def _network_list(daemon: Daemon, request: Request) -> Answer:
    wanted = filters_of(request)
    return json_answer(
        [
            _network_json(daemon, network)
            for network in daemon.networks.values()
            if labels_match(network.labels, wanted.get("label", []))
            and ("name" not in wanted or any(text in network.name for text in wanted["name"]))
            and ("id" not in wanted or any(map(network.id.startswith, wanted["id"])))
        ]
    )


async def _network_delete(daemon: Daemon, request: Request) -> Answer:
    network = daemon.network(_name_of(request))
    if daemon.users_of(network):
        raise Refusal(403, f"error while removing network: network {network.name} has active endpoints")
    del daemon.networks[network.id]
    return plain(status=204)


async def _network_prune(daemon: Daemon, request: Request) -> Answer:
    wanted = filters_of(request).get("label", [])
    unused = [
        network
        for network in daemon.networks.values()
        if labels_match(network.labels, wanted) and not daemon.users_of(network)
    ]
    for network in unused:
        del daemon.networks[network.id]
    return json_answer({"NetworksDeleted": [network.name for network in unused]})


OTHER_OPERATIONS: Final[dict[str, Operation]] = {
    "system_info": _info,
    "container_stats": _container_stats,
    "volume_create": _volume_create,
    "volume_inspect": _volume_inspect,
    "volume_list": _volume_list,
    "volume_delete": _volume_delete,
    "volume_prune": _volume_prune,
    "network_create": _network_create,
    "network_inspect": _network_inspect,
    "network_list": _network_list,
    "network_delete": _network_delete,
    "network_prune": _network_prune,
}
