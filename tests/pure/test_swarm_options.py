"""A swarm runner's options, what a swarm cannot do, the service's spec, and the walls that containers must have."""

from typing import Any

import pytest

from lightrunner import LightRunnerError, LightRunnerErrorCode, RunRequest, SwarmOptions, SwarmRunner
from lightrunner.engine import wire
from lightrunner.plan import RunPlan, check_request
from lightrunner.rules.gate import ClaimReply
from lightrunner.rules.limits import DROPPED_CAPABILITIES
from lightrunner.swarm.options import check_swarm_options, check_swarm_request, node_host
from lightrunner.swarm.service import service_spec
from lightrunner.swarm.walls import missing_walls
from tests.pure.violations import violation

HOSTS = "ssh://{hostname}"
HELD = ClaimReply(no_new_privileges=True, takes_input=True)


def options(**given: Any) -> SwarmOptions:
    whole: dict[str, Any] = {"node_hosts": HOSTS, **given}
    return SwarmOptions(**whole)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"gpus": "all"}, "gpus"),
        ({"seccomp": "/p.json"}, "seccomp"),
        ({"userns": "host"}, "userns"),
        ({"disk": "1g"}, "disk"),
        ({"usage": True}, "usage"),
        ({"connect": print}, "connect"),
        ({"memory": "1k"}, "memory"),
        ({"tmpfs": {"/x": "size=1m,mode=700"}}, "tmpfs['/x']"),
        ({"reserve": 1}, "reserve"),
        ({"constraints": "node.role==worker"}, "constraints"),
        ({"constraints": [""]}, "constraints[0]"),
        ({"other_managers": [5]}, "other_managers[0]"),
        ({"node_hosts": 5}, "node_hosts"),
        ({"image_repository": ""}, "image_repository"),
        ({"image_repository": "lower/Case"}, "image_repository"),
        ({"image_repository": "a/b:tag"}, "image_repository"),
        ({"image_repository": f"a/b@sha256:{'0' * 64}"}, "image_repository"),
        ({"image_repository": 3}, "image_repository"),
        ({"node_hosts": "tcp://{name}"}, "node_hosts"),
        ({"node_hosts": "tcp://{hostname.x}"}, "node_hosts"),
        ({"node_hosts": "tcp://{"}, "node_hosts"),
    ],
)
def test_bad_options(given: dict[str, Any], field: str) -> None:
    whole: dict[str, Any] = {"node_hosts": HOSTS, **given}
    with pytest.raises(LightRunnerError) as raised:
        SwarmRunner(**whole)
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert raised.value.message.startswith(field)


def check(request: RunRequest, given: SwarmOptions) -> RunPlan:
    return check_swarm_request(request, given, check_swarm_options(given))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"run": ["true"]}, "run"),
        ({"tty": True}, "tty"),
        ({"platform": "linux/arm64"}, "platform"),
        ({"pull": "always"}, "pull"),
    ],
)
def test_what_a_request_cannot_have(given: dict[str, Any], field: str) -> None:
    with violation(field, given[field]):
        check(RunRequest(image="a", **given), options())


def test_refused_secrets_are_not_shown() -> None:
    with violation("secrets", ["key"]):
        check(RunRequest(image="a", secrets={"key": b"hunter2"}), options())


def test_what_a_request_can_have() -> None:
    given = options(tmpfs={"/x": "1m"}, node_hosts=str, image_repository="registry:5000/steps")
    plan = check(RunRequest(image="a:1", input=b"x", run=["true"]), given)
    assert (plan.image.text, plan.input, plan.steps) == ("a:1", b"x", ("true",))
    with violation("workdir", "/x"):
        check(RunRequest(image="a:1", workdir="/x"), given)


def test_the_address_of_a_node() -> None:
    node = wire.Node(
        id="n1", description=wire.NodeDescription(hostname="alpha"), status=wire.NodeStatus(addr="10.0.0.7")
    )
    assert node_host("tcp://{address}:2376", node) == "tcp://10.0.0.7:2376"
    assert node_host("unix:///run/{hostname}-{id}.sock", node) == "unix:///run/alpha-n1.sock"
    assert node_host(lambda one: f"ssh://{one.description.hostname}.lan", node) == "ssh://alpha.lan"


def spec(request: RunRequest, given: SwarmOptions, *, once: bool = False) -> wire.ServiceSpec:
    sandbox = check_swarm_options(given)
    plan = check_request(request)
    return service_spec(plan, sandbox, given, name="s", owner="o", image="a@b", network="bridge", size=3, once=once)


def test_a_service_has_the_limits_of_a_run() -> None:
    given = options(memory="64m", cpus=0.5, pids=20, read_only=True, ulimits={"nofile": 9}, constraints=["a==b"])
    request = RunRequest(
        image="a:1", user="app", workdir="/w", hostname="h", extra_hosts={"db": "10.0.0.1"}, env={"A": "1"}
    )
    service = spec(request, given)
    template = service.task_template
    container = template.container_spec
    assert container is not None
    assert container.image == "a@b"
    assert service.mode == wire.ServiceMode(replicated=wire.ReplicatedService(replicas=3))
    assert template.resources == wire.Resources(
        limits=wire.ResourceLimits(nano_cpus=500_000_000, memory_bytes=64 << 20, pids=20),
        reservations=wire.ResourceReservations(nano_cpus=500_000_000, memory_bytes=64 << 20),
    )
    assert container.capability_drop == list(DROPPED_CAPABILITIES)
    assert container.privileges == wire.Privileges(no_new_privileges=True)
    assert (container.user, container.dir, container.hostname, container.read_only) == ("app", "/w", "h", True)
    assert container.hosts == ["10.0.0.1 db"]
    assert container.env is None  # The dispatch brings it.
    assert [mount.target for mount in container.mounts or []] == ["/w", "/tmp"]  # noqa: S108  # in the container
    assert template.placement == wire.Placement(constraints=["a==b"])


def test_what_a_service_leaves_out() -> None:
    service = spec(RunRequest(image="a:1"), options(reserve=False, no_new_privileges=False))
    assert service.task_template.resources is not None
    assert service.task_template.resources.reservations is None
    assert service.task_template.placement is None
    assert service.task_template.container_spec is not None
    assert service.task_template.container_spec.privileges is None


def test_only_a_lost_container_of_one_run_is_replaced() -> None:
    for once, seconds in ((True, 10), (False, 0.1)):
        policy = spec(RunRequest(image="a:1"), options(), once=once).task_template.restart_policy
        assert policy == wire.RestartPolicy(condition="any", delay=int(seconds * wire.NANOSECONDS))


def container(networks: tuple[str, ...] = ("net",), **changed: Any) -> wire.ContainerInspectResponse:
    host: dict[str, Any] = {
        "memory": 512 << 20,
        "memory_swap": 512 << 20,
        "nano_cpus": 10**9,
        "pids_limit": 100,
        "cap_drop": [f"CAP_{name}" for name in DROPPED_CAPABILITIES],
        "runtime": "runc",
    }
    return wire.ContainerInspectResponse(
        id="c",
        host_config=wire.InspectedHostConfig(**(host | changed)),
        network_settings=wire.NetworkSettings(networks=dict.fromkeys(networks)),
    )


def walls(
    one: wire.ContainerInspectResponse, reply: ClaimReply = HELD, network: str | None = None, **given: Any
) -> list[str]:
    plan = check_request(RunRequest(image="a", network=network))
    return list(missing_walls(one, plan, check_swarm_options(options(**given)), reply))


def test_a_container_with_all_walls() -> None:
    assert walls(container()) == []
    assert walls(container(memory_swap=-1)) == []
    assert walls(container(networks=()), network="none") == []
    assert walls(container(runtime="runsc"), runtime="runsc") == []
    assert walls(container(), ClaimReply(None, takes_input=True), no_new_privileges=False) == []


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"memory": 0}, "memory"),
        ({"memory_swap": 1 << 30}, "swap"),
        ({"nano_cpus": 0}, "CPU"),
        ({"pids_limit": None}, "process limit is None"),
        ({"cap_drop": ["NET_RAW"]}, "MKNOD"),
        ({"readonly_rootfs": True}, "read_only"),
        ({"networks": ("bridge",)}, "inter-container"),
    ],
)
def test_a_missing_wall_is_named(changed: dict[str, Any], word: str) -> None:
    (said,) = walls(container(**changed))
    assert word in said


def test_missing_walls_of_the_kernel_the_daemon_and_the_network() -> None:
    for value in (False, None):
        (said,) = walls(container(), ClaimReply(value, takes_input=True))
        assert "no_new_privileges" in said
    (said,) = walls(container(), runtime="runsc")
    assert "default-runtime" in said
    (said,) = walls(container(networks=("bridge",)), network="none")
    assert "bridge" in said
