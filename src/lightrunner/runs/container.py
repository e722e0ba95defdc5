"""The body of a container create: the sandbox with all its walls, from a checked request. Pure."""

import json
import math
import os
from collections.abc import Sequence
from urllib.parse import quote

from msgspec import UNSET

from lightrunner.engine import wire
from lightrunner.plan import RunPlan, Sandbox
from lightrunner.rules import limits
from lightrunner.rules.sizes import GpuRequest


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
) -> wire.ContainerCreateRequest:
    """The body of the container create: the sandbox with all its walls.

    Args:
        plan: a checked request.
        sandbox: checked options.
        image: the reference that the container starts from.
        run_id: names container and volume.
        network_mode: an id or a name, or ``container:<id>``.
        owner: the process, as `lightrunner.host.owner` writes it; empty: nobody's.
        targets: the host folders that extracts are staged in.
        state_dir: of a detached run: the folder that its state is kept in.
        mount_at: the mount point of the run's volume; empty: the workdir; None: no volume.
    """
    labels = {limits.LABEL_RUN_ID: run_id}
    if owner:
        labels[limits.LABEL_OWNER] = owner
    volume_labels = dict(labels)
    if targets:
        labels[limits.LABEL_TARGETS] = json.dumps(targets)
    if state_dir is not None:
        # Whoever finds the container without its state file has to know that it may outlive its owner, and how long.
        labels[limits.LABEL_DETACHED] = "none" if math.isinf(plan.timeout) else repr(plan.timeout)
        labels[limits.LABEL_STATE_DIR] = quote(os.fsencode(state_dir))
    volume = wire.Mount(
        type="volume",
        source=limits.NAME_PREFIX + run_id,
        target=mount_at or plan.workdir,
        volume_options=wire.VolumeOptions(labels=volume_labels),
    )
    shell = plan.entrypoint is not None
    has_input = plan.input is not None
    return wire.ContainerCreateRequest(
        image=image,
        entrypoint=["sh", "-c", plan.entrypoint] if plan.entrypoint is not None else UNSET,
        cmd=[] if shell else UNSET,
        env=plan.env,
        working_dir=plan.workdir,
        labels=labels,
        open_stdin=has_input,
        stdin_once=has_input,
        attach_stdin=has_input,
        attach_stdout=True,
        attach_stderr=True,
        # A disposable container has nobody to ask for its health, and a probe is a process in the sandbox.
        healthcheck=wire.Healthcheck(test=["NONE"]),
        host_config=wire.HostConfig(
            mounts=[] if mount_at is None else [volume],
            memory=sandbox.memory_bytes,
            memory_swap=sandbox.memory_bytes,  # Unset, the container could swap as much again.
            nano_cpus=sandbox.nano_cpus,
            pids_limit=limits.PIDS_LIMIT,
            cap_drop=list(limits.DROPPED_CAPABILITIES),
            security_opt=["no-new-privileges"] if sandbox.no_new_privileges else [],
            network_mode=network_mode,
            runtime="" if sandbox.runtime == limits.DEFAULT_RUNTIME else sandbox.runtime,
            device_requests=[] if sandbox.gpus is None else [_device_request(sandbox.gpus)],
            # Attached output is read as it comes. json-file would keep it as well: 100 MB took 270 on disk.
            log_config=wire.LogConfig(type="json-file", config=dict(limits.DETACHED_LOG_OPTIONS))
            if state_dir is not None
            else wire.LogConfig(type="none"),
        ),
    )


def _device_request(gpus: GpuRequest) -> wire.DeviceRequest:
    return wire.DeviceRequest(
        driver=gpus.driver, count=gpus.number, device_ids=list(gpus.device_ids), capabilities=[list(gpus.capabilities)]
    )
