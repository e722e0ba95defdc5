"""Build the body of a container create from a checked request, with all limits of the sandbox. Pure."""

import json
import math
import os
from collections.abc import Sequence
from urllib.parse import quote

from msgspec import UNSET

from lightrunner.engine import wire
from lightrunner.init.volume import init_mount
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.rules import limits
from lightrunner.rules.sizes import GpuRequest

from .measure import Measured

_TMP = "/tmp"  # noqa: S108  # a path in the container


def container_spec(
    plan: RunPlan,
    sandbox: Sandbox,
    *,
    image: str,
    run_id: str,
    network_mode: str,
    owner: str = "",
    targets: Sequence[str] = (),
    state_dir: str | None = None,
    mount_at: str | None = "",
    measured: Measured | None = None,
) -> wire.ContainerCreateRequest:
    """Build the body of a container create.

    Args:
        plan: a checked request.
        sandbox: checked options.
        image: the reference that the container starts from.
        run_id: the run's id, part of the names of container and volume.
        network_mode: a network's id or name, or ``container:<id>``.
        owner: the process that owns the run, as `lightrunner.host.owner` writes it; empty: no owner label.
        targets: the host folders that extracts are staged in.
        state_dir: a detached run's state folder; None: the run is not detached.
        mount_at: the mount point of the run's volume; empty: the workdir; None: no volume.
        measured: how the run is measured; None: it is not.
    """
    labels = {**plan.labels, limits.LABEL_RUN_ID: run_id}
    if owner:
        labels[limits.LABEL_OWNER] = owner
    volume_labels = dict(labels)
    if targets:
        labels[limits.LABEL_TARGETS] = json.dumps(targets)
    if state_dir is not None:
        # A reaper that has no state file of this run must know that it may outlive its owner, and for how long.
        labels[limits.LABEL_DETACHED] = "none" if math.isinf(plan.timeout) else repr(plan.timeout)
        labels[limits.LABEL_STATE_DIR] = quote(os.fsencode(state_dir))
    volume = wire.Mount(
        type="volume",
        source=limits.NAME_PREFIX + run_id,
        target=mount_at or plan.workdir,
        volume_options=wire.VolumeOptions(labels=volume_labels),
    )
    # A volume would be outside of the limit of the container's disk.
    has_volume = mount_at is not None and sandbox.disk_bytes is None
    mounts = [volume] if has_volume else []
    command = None if plan.entrypoint is None else ["sh", "-c", plan.entrypoint]
    if measured is not None:
        mounts.append(init_mount(measured.volume))
        command = measured.entrypoint
    has_input = plan.input is not None
    return wire.ContainerCreateRequest(
        image=image,
        entrypoint=UNSET if command is None else command,
        cmd=UNSET if command is None else [],
        env=plan.env if measured is None else [*plan.env, measured.env],
        user=plan.user or "",
        hostname=plan.hostname or "",
        working_dir=plan.workdir,
        labels=labels,
        open_stdin=has_input,
        stdin_once=has_input,
        attach_stdin=has_input,
        tty=plan.tty_size is not None,
        attach_stdout=True,
        attach_stderr=True,
        # Nothing reads a disposable container's health, and a probe is one more process in the sandbox.
        healthcheck=wire.Healthcheck(test=["NONE"]),
        host_config=wire.HostConfig(
            mounts=mounts,
            memory=sandbox.memory_bytes,
            memory_swap=sandbox.memory_bytes,  # Unset, the container could swap as much again.
            nano_cpus=sandbox.nano_cpus,
            pids_limit=sandbox.pids,
            cap_drop=list(limits.DROPPED_CAPABILITIES),
            security_opt=_security_options(sandbox),
            readonly_rootfs=sandbox.read_only,
            tmpfs=_tmpfs(plan, sandbox),
            ulimits=[wire.Ulimit(name=limit.name, soft=limit.soft, hard=limit.hard) for limit in sandbox.ulimits],
            userns_mode="host" if sandbox.userns == "host" else "",
            storage_opt={} if sandbox.disk_bytes is None else {"size": str(sandbox.disk_bytes)},
            extra_hosts=plan.extra_hosts,
            network_mode=network_mode,
            # Before API 1.42 Linux ignores it: `Execution.resize` sets the size after the start.
            console_size=UNSET if plan.tty_size is None else plan.tty_size,
            runtime="" if sandbox.runtime == limits.DEFAULT_RUNTIME else sandbox.runtime,
            device_requests=[] if sandbox.gpus is None else [_device_request(sandbox.gpus)],
            # Attached output is read as it arrives. json-file would keep a copy: 270 MB on disk for 100 MB of output.
            log_config=wire.LogConfig(type="json-file", config=dict(limits.DETACHED_LOG_OPTIONS))
            if state_dir is not None
            else wire.LogConfig(type="none"),
        ),
    )


def _security_options(sandbox: Sandbox) -> list[str]:
    options = ["no-new-privileges"] if sandbox.no_new_privileges else []
    return options if sandbox.seccomp is None else [*options, f"seccomp={sandbox.seccomp}"]


def _tmpfs(plan: RunPlan, sandbox: Sandbox) -> dict[str, str]:
    if sandbox.read_only and plan.workdir != _TMP:
        return {_TMP: f"size={sandbox.memory_bytes // 2}", **sandbox.tmpfs}
    return sandbox.tmpfs


def _device_request(gpus: GpuRequest) -> wire.DeviceRequest:
    return wire.DeviceRequest(
        driver=gpus.driver, count=gpus.number, device_ids=list(gpus.device_ids), capabilities=[list(gpus.capabilities)]
    )
