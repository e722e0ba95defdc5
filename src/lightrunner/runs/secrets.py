"""Hand secrets to a run: through the init program, which writes them to a tmpfs before it becomes the command.

They travel over the stdin that the run's input follows on: what the daemon stores (inspect, image, log) has none of
them. The tmpfs is mounted for the run's user, by number, and process 1 is that user from the start. So it needs no
privileges to write the files or to give up, and works under any set of capabilities.
"""

from collections.abc import Sequence

import msgspec
import trio

from lightrunner.engine import AttachedStream, EngineClient, EngineUnreachable
from lightrunner.engine.wire import ContainerCreateRequest
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.images.users import image_user_id
from lightrunner.init.volume import init_mount
from lightrunner.plan import RunPlan
from lightrunner.rules.limits import CREATE_TIMEOUT, INIT_PATH, SECRETS_FOLDER, SECRETS_TMPFS_BYTES
from lightrunner.rules.secrets import READY, Secrets

from .prepare import Adapt, RunImage

_INPUT_FOLLOWS, _NO_INPUT = b"i", b"n"
_SHOWN_BYTES = 500


def secrets_command(command: Sequence[str]) -> list[str]:
    """Return the command that takes the secrets, and becomes `command`."""
    return [INIT_PATH, "secrets", *command]


async def secrets_folder(engine: EngineClient, plan: RunPlan, image: RunImage, volume: str) -> Adapt:
    """Give a container the secrets' folder and the init program.

    Args:
        engine: the daemon.
        plan: a checked request.
        image: its image.
        volume: the init program's volume.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED: the image's user cannot be found out.
    """
    user = plan.user or image.config.user
    number = await image_user_id(engine, image.reference, user, platform=plan.platform)
    # A tmpfs belongs to root by itself. podman does not take the option.
    owner = f",uid={number}" if number else ""
    options = f"size={SECRETS_TMPFS_BYTES},mode=0700{owner},noexec,nosuid,nodev"

    def adapt(body: ContainerCreateRequest) -> ContainerCreateRequest:
        host_config, program = body.host_config, init_mount(volume)
        mounts = [*(mount for mount in host_config.mounts if mount != program), program]
        tmpfs = {**host_config.tmpfs, SECRETS_FOLDER: options}
        return msgspec.structs.replace(
            body, host_config=msgspec.structs.replace(host_config, mounts=mounts, tmpfs=tmpfs)
        )

    return adapt


def taking_secrets(folder: Adapt, command: Sequence[str]) -> Adapt:
    """Let a container's process 1 take the secrets.

    Args:
        folder: from `secrets_folder`.
        command: the run's command, unless the container has an entrypoint of its own.
    """

    def adapt(body: ContainerCreateRequest) -> ContainerCreateRequest:
        own = body.entrypoint if isinstance(body.entrypoint, list) else command
        return msgspec.structs.replace(
            folder(body), entrypoint=secrets_command(own), cmd=[], open_stdin=True, stdin_once=True, attach_stdin=True
        )

    return adapt


async def hand_over(
    attached: AttachedStream, secrets: Secrets, *, has_input: bool, container_id: str, opening: bytes = b""
) -> bytes:
    """Send the secrets, and wait until they are written.

    Args:
        attached: a started container's streams, from which nothing was received.
        secrets: the secrets.
        has_input: whether the run has input; otherwise its stdin is /dev/null.
        container_id: the container's id.
        opening: what to send first: a warm container's dispatch.

    Returns:
        What starts the command, and is to be sent before its input.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED: the secrets cannot be written, or the command cannot be executed.
    """
    said: dict[str, bytes] = {"stdout": b"", "stderr": b""}
    with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "container_attach", container_id=container_id):
        with trio.move_on_after(CREATE_TIMEOUT):
            await _send(attached, opening, secrets)
            while READY.startswith(said["stdout"]) and (pieces := await attached.receive()):
                for piece in pieces:
                    said[piece.stream] += piece.data
                if said["stdout"] == READY:
                    return _INPUT_FOLLOWS if has_input else _NO_INPUT
    shown = (said["stderr"] or said["stdout"])[:_SHOWN_BYTES].decode(errors="replace").strip()
    raise LightRunnerError(
        LightRunnerErrorCode.CONTAINER_START_FAILED,
        f"the run's secrets: {shown or 'process 1 did not take them'}",
        docker_op="container_attach",
        container_id=container_id,
    )


async def _send(attached: AttachedStream, opening: bytes, secrets: Secrets) -> None:
    try:
        if opening:
            await attached.send_all(opening)
        await attached.send_all(secrets.packed)
    except EngineUnreachable:
        return  # Process 1 has failed, and its stderr says why. If the daemon is gone, the reading raises.
