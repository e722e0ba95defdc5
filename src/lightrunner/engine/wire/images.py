"""Structs of the operations on images. Pure."""

import msgspec
from msgspec import UNSET, UnsetType

from .base import Wire
from .containers import ContainerConfig


class ImageInspectResponse(Wire):
    """GET /images/{name}/json. Only images that this daemon's classic builder made have a `parent`."""

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
    """An entry of the response of DELETE /images/{name}."""

    untagged: str = ""
    deleted: str = ""


class ImageConfig(Wire):
    """Body of POST /commit: the image's configuration, as far as it differs from the container's."""

    user: str = ""
    env: list[str] | UnsetType = UNSET
    cmd: list[str] | UnsetType = UNSET
    entrypoint: list[str] | UnsetType = UNSET
    working_dir: str = ""
    labels: dict[str, str] = {}


class ImageCommitResponse(Wire):
    """The response of POST /commit."""

    id: str


class Descriptor(Wire):
    """What a registry says of a manifest. The names are OCI's, in lower case."""

    digest: str = msgspec.field(name="digest")


class DistributionInspect(Wire):
    """The response of GET /distribution/{name}/json."""

    descriptor: Descriptor


DISTRIBUTION_INSPECT = msgspec.json.Decoder(DistributionInspect)
IMAGE_COMMIT = msgspec.json.Decoder(ImageCommitResponse)
IMAGE_INSPECT = msgspec.json.Decoder(ImageInspectResponse)
IMAGE_LIST = msgspec.json.Decoder(list[ImageSummary])
IMAGE_DELETE = msgspec.json.Decoder(list[ImageDeleteItem])
