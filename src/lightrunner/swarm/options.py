"""The options of a `SwarmRunner`, and the check of what Swarm cannot do. Pure."""

from collections.abc import Callable, Sequence
from typing import cast

from lightrunner.engine.wire import Node
from lightrunner.plan import RunPlan, Sandbox, check_mounts, check_options, check_request
from lightrunner.requests import RunnerOptions, RunRequest
from lightrunner.rules.names import parse_image
from lightrunner.rules.violation import RuleViolation

NodeHosts = str | Callable[[Node], str]


class SwarmOptions(RunnerOptions, frozen=True, kw_only=True):
    """Options for every run of a `SwarmRunner`: those of `RunnerOptions`, and these.

    `host` is a manager. ``gpus``, ``seccomp``, ``userns``, ``disk``, ``usage`` and ``connect`` are not for Swarm.
    `runtime` is not sent: each container is checked for it, so the nodes' daemons need it as their default.
    `registry_auth` is sent to the managers, which hand it to the nodes that pull; the Docker CLI's credentials are not.

    Attributes:
        node_hosts: the address of each node's own daemon: text with ``{hostname}``, ``{address}`` or ``{id}`` in it,
            such as ``"ssh://{hostname}"`` or ``"tcp://{address}:2376"``, or a function of the node.
        other_managers: more managers, in case `host` does not answer.
        constraints: where runs may be placed, as `docker service create --constraint` takes it:
            ``"node.labels.pool==untrusted"``.
        image_repository: where images of setup steps are pushed, and the nodes pull them:
            ``"registry.example/lightrunner"``. Without it, requests with setup steps are refused.
        reserve: have Swarm reserve each run's memory and CPUs on its node, and place no more than there is room for.
    """

    node_hosts: NodeHosts
    other_managers: Sequence[str] = ()
    constraints: Sequence[str] = ()
    image_repository: str | None = None
    reserve: bool = True


_NOT_FOR_SWARM = {
    "gpus": "cannot be asked of a Swarm service",
    "seccomp": "cannot be asked of a Swarm service",
    "userns": "cannot be asked of a Swarm service",
    "disk": "cannot be asked of a Swarm service",
    "usage": "cannot be measured on a swarm",
    "connect": "leads to one daemon, and a swarm has several",
}
"""Options of `RunnerOptions`, and why a swarm refuses them."""


def check_swarm_options(options: SwarmOptions) -> Sandbox:
    """Check the options, as `check_options` does."""
    for name, reason in _NOT_FOR_SWARM.items():
        if value := getattr(options, name):
            raise RuleViolation(name, value, reason)
    _check_own(options)
    sandbox = check_options(options)
    for path, text in sandbox.tmpfs.items():
        if not text.removeprefix("size=").isdecimal():
            raise RuleViolation(f"tmpfs[{path!r}]", options.tmpfs[path], "a Swarm service takes a size alone")
    return sandbox


def _check_own(options: SwarmOptions) -> None:
    if not isinstance(options.reserve, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RuleViolation("reserve", options.reserve, "neither True nor False")
    _check_texts("other_managers", options.other_managers)
    _check_texts("constraints", options.constraints)
    if options.image_repository is not None:
        image = parse_image("image_repository", options.image_repository)
        if image.tag is not None or image.digest is not None:
            raise RuleViolation("image_repository", options.image_repository, "has a tag or a digest; name no image")
    if isinstance(options.node_hosts, str):
        node_host(options.node_hosts, Node(id="0"))
    elif not callable(options.node_hosts):
        raise RuleViolation("node_hosts", options.node_hosts, "neither text nor a function of a node")


def check_swarm_request(request: RunRequest, options: SwarmOptions, sandbox: Sandbox) -> RunPlan:
    """Check a request, as `check_request` does."""
    if request.run and options.image_repository is None:
        reason = "the nodes need a registry to pull the image from: give the SwarmRunner an image_repository"
        raise RuleViolation("run", request.run, reason)
    if request.tty:
        raise RuleViolation("tty", request.tty, "a run on a swarm has no terminal")
    if request.platform is not None:
        reason = "use constraints=['node.platform.arch==…'] of the SwarmRunner"
        raise RuleViolation("platform", request.platform, reason)
    if request.pull != "missing":
        raise RuleViolation("pull", request.pull, "the nodes pull when Swarm has them; name an image by its digest")
    plan = check_request(request)
    if plan.secrets is not None:
        raise RuleViolation("secrets", sorted(request.secrets), "a run on a swarm has none; use input")
    check_mounts(plan, sandbox)
    return plan


def node_host(hosts: NodeHosts, node: Node) -> str:
    """Return the address of a node's daemon."""
    if not isinstance(hosts, str):
        return hosts(node)
    try:
        return hosts.format(hostname=node.description.hostname, address=node.status.addr, id=node.id)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise RuleViolation(
            "node_hosts", hosts, f"has more than {{hostname}}, {{address}} and {{id}}: {error}"
        ) from error


def _check_texts(name: str, value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise RuleViolation(name, value, "not a list of texts")
    for at, entry in enumerate(cast("Sequence[object]", value)):
        if not isinstance(entry, str) or not entry.strip():
            raise RuleViolation(f"{name}[{at}]", entry, "not a text")
