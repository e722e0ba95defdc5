"""Structs of the operations on volumes. Pure."""

import msgspec

from .base import Wire


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


VOLUME = msgspec.json.Decoder(Volume)
VOLUME_LIST = msgspec.json.Decoder(VolumeListResponse)
VOLUME_PRUNE = msgspec.json.Decoder(VolumePruneResponse)
