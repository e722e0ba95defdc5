"""A fake daemon's state: images, containers, volumes, networks, and the programs of containers."""

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
import trio

from .containers import FakeContainer, Program
from .files import FileSystem
from .gate import gate_nonce, read_dispatch
from .http import Request
from .secrets import forget_secrets, take_secrets

OUR_REPOSITORIES: Final = "light-runner-"
"""Images of this prefix are made by lightrunner itself; no registry has them."""

BRIDGE: Final = "bridge"

_PAUSE: Final = ["/.light-runner/init", "pause"]


class Refusal(Exception):
    """The daemon refuses, with a status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class Image(msgspec.Struct, kw_only=True):
    """An image. `tags` are whole references; `config` is as an inspect has it."""

    id: str
    tags: list[str]
    config: dict[str, Any]
    files: FileSystem
    created: float
    parent: str = ""
    size: int = 1_000_000
    architecture: str = "amd64"

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        labels: dict[str, str] = self.config.get("Labels") or {}
        return labels


class Volume(msgspec.Struct, kw_only=True):
    """A volume."""

    name: str
    labels: dict[str, str]
    created: float


class Network(msgspec.Struct, kw_only=True):
    """A network."""

    id: str
    name: str
    driver: str = BRIDGE
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class Rule(NamedTuple):
    """A program, and the images and commands that it is for; None: all."""

    program: Program
    image: str | None
    command: str | None


class Daemon:
    """The state of one fake daemon. It survives a restart; running containers do not."""

    def __init__(
        self, images: Collection[str] | None, registry: Collection[str] | None, runtimes: Collection[str]
    ) -> None:
        self.images: dict[str, Image] = {}  # by id
        self.containers: dict[str, FakeContainer] = {}  # by id
        self.volumes: dict[str, Volume] = {}
        self.networks: dict[str, Network] = {}
        self.rules: list[Rule] = []
        self.failures: list[Exception] = []
        self.runtimes = runtimes
        self.nursery: trio.Nursery | None = None
        self._has_all_images = images is None
        self._registry = registry
        self._made = 0
        self._epoch = 0.0
        for name in images or ():
            self.add_image(whole_reference(name))

    def begin(self, nursery: trio.Nursery) -> None:
        """Start the daemon's clock, which is trio's, from the present."""
        self.nursery = nursery
        self._epoch = time.time() - trio.current_time()

    def now(self) -> float:
        """Seconds since the epoch, by trio's clock."""
        return self._epoch + trio.current_time() if self.nursery is not None else time.time()

    def new_id(self) -> str:
        """A new id, the same in every run of a test."""
        self._made += 1
        return hashlib.sha256(b"%d" % self._made).hexdigest()

    # --- images -------------------------------------------------------------------------------------------------------

    def add_image(self, tag: str, config: Mapping[str, Any] | None = None, **more: Any) -> Image:
        """Add an image with a whole reference, which another image of that name loses."""
        for other in self.images.values():
            other.tags = [name for name in other.tags if name != tag]
        more.setdefault("files", FileSystem())
        image = Image(
            id=f"sha256:{self.new_id()}",
            tags=[tag] if tag else [],
            config=dict(config or {}),
            created=self.now(),
            **more,
        )
        self.images[image.id] = image
        return image

    def image(self, name: str) -> Image:
        """Find an image by its name or id."""
        found = self.find_image(name)
        if found is None:
            raise Refusal(404, f"No such image: {name}")
        return found

    def find_image(self, name: str) -> Image | None:
        """Find an image, or create it if the daemon has every image; None: the daemon does not have it."""
        if name in self.images:
            return self.images[name]
        tag = whole_reference(name)
        found = next((image for image in self.images.values() if tag in image.tags), None)
        if found is None and self._has_all_images and not name.startswith((OUR_REPOSITORIES, "sha256:")):
            return self.add_image(tag)
        return found

    def pull(self, name: str) -> None:
        """Get an image from the registry."""
        if self._registry is not None and name not in {whole_reference(it) for it in self._registry}:
            repository = name.rpartition(":")[0]
            raise Refusal(404, f"manifest for {name} not found: manifest unknown: {repository} has no such tag")
        if self.find_image(name) is None:
            self.add_image(name)

    # --- containers ---------------------------------------------------------------------------------------------------

    def container(self, name: str) -> FakeContainer:
        """Find a container by its id, the beginning of its id, or its name."""
        for container in self.containers.values():
            if container.name == name or (len(name) >= 12 and container.id.startswith(name)):  # noqa: PLR2004  # a short id
                return container
        raise Refusal(404, f"No such container: {name}")

    def network(self, name: str) -> Network:
        """Find a network by its id or name."""
        for network in self.networks.values():
            if name in {network.id, network.name}:
                return network
        raise Refusal(404, f"network {name} not found")

    def users_of(self, network: Network) -> list[FakeContainer]:
        """The running containers on a network."""
        names = {network.id, network.name}
        return [it for it in self.containers.values() if it.is_running and it.network_mode in names]

    def start(self, container: FakeContainer) -> None:
        """Run a container's program."""
        assert self.nursery is not None, "use a FakeEngine inside its block"
        container.begin(self.now())
        self.nursery.start_soon(self.live, container)

    async def live(self, container: FakeContainer) -> None:
        """Run a container's program to its end."""
        await container.live(self._program, self.now)
        forget_secrets(container)
        if container.failure is not None:
            self.failures.append(container.failure)

    async def _program(self, container: FakeContainer) -> int | None:
        nonce = gate_nonce(container.argv)
        if nonce is not None:
            await container.stdout(f"{nonce}\n".encode())
            line = await container.stdin_line()
            if not line:
                return 0
            dispatch = read_dispatch(line.decode())
            container.argv = dispatch.argv
            container.env |= dispatch.env
            if not dispatch.has_input:
                await container.stdin()  # Its input is /dev/null; what the client sends is an end.
        if (code := await take_secrets(container)) is not None:
            return code
        for rule in reversed(self.rules):
            if rule.command in {None, container.command} and self._is_image(rule.image, container):
                return await rule.program(container)
        if container.argv == _PAUSE:  # A prepared network's.
            await trio.sleep_forever()
        return 0

    def _is_image(self, name: str | None, container: FakeContainer) -> bool:
        if name is None or whole_reference(name) == whole_reference(container.image):
            return name is not None or container.argv != _PAUSE
        image = self.find_image(container.image)
        # An image of setup steps is also what it was built on.
        while image is not None and image.parent:
            image = self.images.get(image.parent)
            if image is not None and whole_reference(name) in image.tags:
                return True
        return False


def whole_reference(name: str) -> str:
    """A reference with a tag; ids and digests stay."""
    has_tag = ":" in name.rpartition("/")[2] or "@" in name
    return name if has_tag else f"{name}:latest"


def timestamp(seconds: float) -> str:
    """A moment as the daemon writes it; the zero time for one that has not come."""
    return (
        datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z") if seconds else "0001-01-01T00:00:00Z"
    )


def filters_of(request: Request) -> dict[str, list[str]]:
    """The filters of a list: values by name."""
    value: dict[str, Any] = json.loads(request.query.get("filters") or "{}")
    return {name: list(chosen) for name, chosen in value.items()}


def labels_match(labels: Mapping[str, str], wanted: Collection[str]) -> bool:
    """Whether labels have all that a filter asks for: ``name`` or ``name=value``."""
    return all(
        labels.get(name) == value if equals else name in labels
        for name, equals, value in (text.partition("=") for text in wanted)
    )
