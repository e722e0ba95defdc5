"""Find the number of an image's user."""

import uuid

from lightrunner.engine import EngineClient, EngineNotFound
from lightrunner.engine.wire import ContainerCreateRequest, HostConfig, LogConfig
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.host.owner import current_owner
from lightrunner.resources import remove_run, shielded_create
from lightrunner.rules.limits import LABEL_OWNER, LABEL_RUN_ID, MAX_PASSWD_BYTES, NAME_PREFIX
from lightrunner.rules.secrets import user_id
from lightrunner.rules.tarstream import Member, TarDecoder, TarError

_ROOT = frozenset({"", "root"})
_USERS = "/etc/passwd"


async def image_user_id(engine: EngineClient, image: str, user: str, *, platform: str | None) -> int:
    """Return the number of a container's user, as in its configuration: ``user`` or ``user:group``.

    A name other than root takes some 70 ms: only a container, which is created for that and removed, shows the image's
    ``/etc/passwd``. A name that is not in there counts as root, and the daemon then refuses to start the container.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED.
    """
    if user.partition(":")[0] in _ROOT:
        return 0
    number = user_id(b"", user)
    if number is None:
        number = user_id(await _passwd(engine, image, platform), user)
    return number or 0


async def _passwd(engine: EngineClient, image: str, platform: str | None) -> bytes:
    run_id = str(uuid.uuid4())
    body = ContainerCreateRequest(
        image=image,
        entrypoint=["/"],  # It is never started, and the image may have no command.
        cmd=[],
        labels={LABEL_RUN_ID: run_id, LABEL_OWNER: str(current_owner())},
        host_config=HostConfig(network_mode="none", log_config=LogConfig(type="none")),
    )
    try:
        with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_create"):
            created = await shielded_create(
                "container_create",
                lambda: engine.container_create(body, name=NAME_PREFIX + run_id, platform=platform),
            )
        with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_archive"):
            return await _file(engine, created.id, _USERS)
    finally:
        await remove_run(engine, run_id)


async def _file(engine: EngineClient, container_id: str, path: str) -> bytes:
    """Return the beginning of a file, up to `MAX_PASSWD_BYTES`; empty without one. Follow a link."""
    try:
        path = (await engine.container_archive_info(container_id, path)).link_target or path
    except EngineNotFound:
        return b""
    decoder = TarDecoder()
    content = bytearray()
    try:
        async with engine.container_archive(container_id, path) as archive:
            while len(content) < MAX_PASSWD_BYTES and (data := await archive.receive_some()):
                for event in decoder.feed(data):
                    if not isinstance(event, Member):
                        content += event
    except EngineNotFound:  # A link to nowhere.
        return b""
    except TarError as error:
        raise LightRunnerError(
            LightRunnerErrorCode.CONTAINER_START_FAILED,
            f"{path} cannot be read: {error}",
            docker_op="container_archive",
            container_id=container_id,
        ) from error
    return bytes(content)
