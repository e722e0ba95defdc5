"""What the parts of an open sandbox share."""

from typing import NamedTuple

from lightrunner.engine import EngineClient
from lightrunner.engine.wire import ContainerConfig

from .session import Session


class SandboxContext(NamedTuple):
    """An open sandbox's container and connection. `image_config` is its image's; `workdir` is where its volume is."""

    engine: EngineClient
    session: Session
    run_id: str
    container_id: str
    workdir: str
    image_config: ContainerConfig
    max_extract_bytes: int
