"""Check that the daemon can keep what the options demand, where it would drop a demand without a word."""

from lightrunner.engine import EngineClient
from lightrunner.errors import LightRunnerError, LightRunnerErrorCode, mapped_errors
from lightrunner.plan import Sandbox

_REMAPS = ("name=userns", "name=rootless")
"""In a daemon's security options: it maps its containers' users to unprivileged ones."""

_CONTAINERD_STORE = ("driver-type", "io.containerd.snapshotter.v1")
"""In a daemon's driver status: it keeps its images in containerd, and then takes no notice of StorageOpt (28.5)."""


async def check_daemon(engine: EngineClient, sandbox: Sandbox) -> None:
    """Check the daemon, in one call, and only if `userns` or `disk` demands something.

    Raises:
        LightRunnerError: CONTAINER_START_FAILED: the daemon cannot keep an option, which the message names.
    """
    if sandbox.userns != "remap" and sandbox.disk_bytes is None:
        return
    with mapped_errors(LightRunnerErrorCode.CONTAINER_START_FAILED, "system_info"):
        info = await engine.system_info()
    remaps = any(option.startswith(_REMAPS) for option in info.security_options or ())
    if sandbox.userns == "remap" and not remaps:
        raise _refusal("userns='remap': the daemon maps no users: it needs userns-remap, or to run without root")
    if sandbox.disk_bytes is not None and _CONTAINERD_STORE in map(tuple, info.driver_status or ()):
        raise _refusal("disk: the daemon keeps images in containerd's store, which limits no container's disk")


def _refusal(message: str) -> LightRunnerError:
    return LightRunnerError(LightRunnerErrorCode.CONTAINER_START_FAILED, message, docker_op="system_info")
