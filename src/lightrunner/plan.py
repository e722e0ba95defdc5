"""Check a request and a runner's options before anything is sent. Pure.

`check_request` returns a `RunPlan` and `check_options` a `Sandbox`. Both raise `RuleViolation` and nothing else.
"""

import errno
import json
import math
import os
import ssl
from collections.abc import AsyncIterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import trio

from .engine.registries import RegistryAuth, registry_name
from .requests import ExtractSpec, RunnerOptions, RunRequest
from .results import ExtractResult
from .rules import identity, names, sizes, walls
from .rules.dockerfile import check_platform, check_steps
from .rules.limits import MAX_PROFILE_BYTES, SECRETS_FOLDER
from .rules.members import check_ignore
from .rules.names import ImageReference, Pull
from .rules.secrets import Secrets, parse_secrets
from .rules.sizes import GpuRequest
from .rules.terminal import typed
from .rules.violation import RuleViolation
from .rules.walls import Ulimit, UserNamespace


class Sandbox(NamedTuple):
    """A runner's checked options, in the units of the Engine API."""

    memory_bytes: int
    nano_cpus: int
    runtime: str
    gpus: GpuRequest | None
    no_new_privileges: bool
    pids: int
    read_only: bool
    tmpfs: dict[str, str]
    ulimits: tuple[Ulimit, ...]
    seccomp: str | None
    userns: UserNamespace | None
    disk_bytes: int | None
    registry_auth: dict[str, RegistryAuth]
    usage: bool
    max_extract_bytes: int
    build_timeout: float


class ExtractPlan(NamedTuple):
    """A checked `ExtractSpec`: `source` in the container, `target` on the host; or the `rejection` of a bad one."""

    spec: ExtractSpec
    source: str = ""
    target: str = ""
    rejection: ExtractResult | None = None


class RunPlan(NamedTuple):
    """A checked request. `timeout` is in seconds, infinity for no limit; `input` is None without stdin."""

    image: ImageReference
    steps: tuple[str, ...]
    platform: str | None
    entrypoint: str | None
    source: str | None
    ignore: tuple[str, ...]
    input: bytes | None
    timeout: float
    network: str | None
    env: list[str]
    dropped_env: list[str]
    workdir: str
    extracts: tuple[ExtractPlan, ...]
    capture_output: bool
    user: str | None
    hostname: str | None
    extra_hosts: list[str]
    labels: dict[str, str]
    pull: Pull
    cpu_timeout: float = math.inf
    output_limit: int | None = None
    tty_size: tuple[int, int] | None = None
    secrets: Secrets | None = None

    @property
    def names_hosts(self) -> bool:
        """Whether the run has a hostname or hosts of its own: the daemon refuses both in a network that it joins."""
        return self.hostname is not None or bool(self.extra_hosts)


def check_options(options: RunnerOptions) -> Sandbox:
    """Check a runner's options, and convert them to the units of the Engine API."""
    limit = options.max_concurrent
    _check_tls(options.tls)
    if limit is not None and not isinstance(limit, trio.CapacityLimiter) and not _is_count(limit):
        raise RuleViolation("max_concurrent", limit, "not an int of at least 1, nor a trio.CapacityLimiter")
    memory_bytes = sizes.parse_memory("memory", options.memory)
    if options.read_only is True and options.disk is not None:
        raise RuleViolation("disk", options.disk, "limits the file system that read_only makes read-only")
    return Sandbox(
        memory_bytes=memory_bytes,
        nano_cpus=sizes.parse_cpus("cpus", options.cpus),
        runtime=names.check_runtime("runtime", options.runtime),
        gpus=None if options.gpus is None else sizes.parse_gpus("gpus", options.gpus),
        no_new_privileges=_flag("no_new_privileges", options.no_new_privileges),
        pids=walls.parse_pids("pids", options.pids),
        read_only=_flag("read_only", options.read_only),
        tmpfs=walls.parse_tmpfs("tmpfs", options.tmpfs, memory_bytes // 2),
        ulimits=walls.parse_ulimits("ulimits", options.ulimits),
        seccomp=None if options.seccomp is None else walls.parse_seccomp("seccomp", options.seccomp, _read_profile),
        userns=walls.parse_userns("userns", options.userns),
        disk_bytes=None if options.disk is None else sizes.parse_size("disk", options.disk),
        registry_auth=_registry_auth(options.registry_auth),
        usage=_flag("usage", options.usage),
        max_extract_bytes=sizes.parse_byte_limit("max_extract_bytes", options.max_extract_bytes),
        build_timeout=sizes.parse_timeout("build_timeout", options.build_timeout),
    )


def check_request(request: RunRequest) -> RunPlan:
    """Check a request, and convert it to the terms of the Engine API. `dir` is not read: the seed does that."""
    env, dropped = names.parse_env("env", request.env)
    workdir = names.parse_workdir("workdir", request.workdir)
    data = encode_input(request.input)
    size = sizes.parse_terminal_size("tty_size", request.tty_size)
    tty_size = size if _flag("tty", request.tty) else None
    secrets = _secrets(request, workdir)
    return RunPlan(
        image=names.parse_image("image", request.image),
        steps=check_steps("run", request.run),
        platform=None if request.platform is None else check_platform("platform", request.platform),
        entrypoint=None if request.entrypoint is None else _entrypoint(request.entrypoint),
        source=None if request.dir is None else names.parse_host_path("dir", request.dir),
        ignore=check_ignore("ignore", request.ignore),
        input=data if tty_size is None else typed("input", data or b""),
        timeout=sizes.parse_timeout("timeout", request.timeout),
        network=None if request.network is None else names.check_network("network", request.network),
        env=env,
        dropped_env=dropped,
        workdir=workdir,
        extracts=plan_extracts(request.extract, workdir),
        capture_output=_flag("capture_output", request.capture_output),
        user=None if request.user is None else identity.parse_user("user", request.user),
        hostname=None if request.hostname is None else identity.parse_hostname("hostname", request.hostname),
        extra_hosts=identity.parse_extra_hosts("extra_hosts", request.extra_hosts),
        labels=identity.parse_labels("labels", request.labels),
        cpu_timeout=sizes.parse_timeout("cpu_timeout", request.cpu_timeout),
        output_limit=None
        if request.output_limit is None
        else sizes.parse_byte_limit("output_limit", request.output_limit),
        tty_size=tty_size,
        pull=names.check_pull("pull", request.pull),
        secrets=secrets,
    )


def check_mounts(plan: RunPlan, sandbox: Sandbox) -> None:
    """A request and a runner's options may mount two things at one place."""
    if plan.workdir in sandbox.tmpfs:
        reason = "is a tmpfs of the runner, and what is copied to a tmpfs before the start is lost"
        raise RuleViolation("workdir", plan.workdir, reason)


def check_detachable(request: RunRequest) -> None:
    """Refuse what needs a live caller, such as `input`, and extracts that a state file cannot hold."""
    if request.input is not None:
        raise RuleViolation("input", request.input, "a detached run has no stdin; put the input into dir")
    if request.capture_output:
        raise RuleViolation(
            "capture_output", request.capture_output, "a detached run captures no output; pass on_log to attach"
        )
    if request.cpu_timeout is not None:
        raise RuleViolation("cpu_timeout", request.cpu_timeout, "a detached run has nobody to watch its CPU time")
    if request.output_limit is not None:
        raise RuleViolation("output_limit", request.output_limit, "a detached run has nobody to count its output")
    if request.tty:
        raise RuleViolation("tty", request.tty, "a detached run has no terminal")
    if request.secrets:
        raise RuleViolation("secrets", sorted(request.secrets), "a detached run has nobody to hand them over")
    for at, entry in enumerate(request.extract):
        # The state file is JSON, which holds neither bytes nor names that are not UTF-8.
        names.check_text(f"extract[{at}].from_", entry.from_)
        target = os.fspath(entry.to) if isinstance(entry.to, os.PathLike) else entry.to
        names.check_text(f"extract[{at}].to", target)


def plan_extracts(value: object, workdir: str) -> tuple[ExtractPlan, ...]:
    """Check each `ExtractSpec`. One that breaks a rule becomes a rejection."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise RuleViolation("extract", value, "not a list of ExtractSpec")
    plans: list[ExtractPlan] = []
    for at, spec in enumerate(cast("Sequence[object]", value)):
        if not isinstance(spec, ExtractSpec):
            raise RuleViolation(f"extract[{at}]", spec, "not an ExtractSpec")
        try:
            source = names.parse_extract_source("from_", spec.from_, workdir)
            target = names.parse_extract_target("to", spec.to)
        except RuleViolation as violation:
            # A bad entry never fails the run: its result goes where the other results go.
            rejection = ExtractResult(from_=spec.from_, to=spec.to, status="error", error=str(violation))
            plans.append(ExtractPlan(spec, rejection=rejection))
        else:
            plans.append(ExtractPlan(spec, source, target))
    return tuple(plans)


def _entrypoint(value: object) -> str:
    text = names.check_text("entrypoint", value)
    if not text.strip():
        raise RuleViolation("entrypoint", value, "is empty; omit it to run the image's own command")
    return text


def _secrets(request: RunRequest, workdir: str) -> Secrets | None:
    secrets = parse_secrets("secrets", request.secrets)
    if secrets is None:
        return None
    if request.tty:
        raise RuleViolation("tty", request.tty, "a terminal changes what it reads: with secrets, there is none")
    if f"{workdir}/".startswith(f"{SECRETS_FOLDER}/"):
        raise RuleViolation("workdir", request.workdir, "is the place of the run's secrets")
    return secrets


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_tls(value: object) -> None:
    if value is not None and not isinstance(value, ssl.SSLContext):
        raise RuleViolation("tls", value, "not an ssl.SSLContext")


def _read_profile(path: str) -> str:
    if not Path(path).is_file():  # A pipe would block.
        raise OSError(errno.ENOENT, "no such file")
    with Path(path).open("rb") as file:
        return file.read(MAX_PROFILE_BYTES + 1).decode()


def _registry_auth(value: object) -> dict[str, RegistryAuth]:
    """Credentials by registry. A violation shows the types alone: anything here may be a password."""
    field = "registry_auth"
    if not isinstance(value, Mapping):
        raise RuleViolation(field, _type(value), "not a mapping of registries to RegistryAuth")
    credentials: dict[str, RegistryAuth] = {}
    for key, auth in cast("Mapping[object, object]", value).items():
        registry = registry_name(names.check_text(f"{field} registry", key))
        if not registry:
            raise RuleViolation(f"{field} registry", key, "not the host of a registry")
        if not isinstance(auth, RegistryAuth):
            raise RuleViolation(f"{field}[{key!r}]", _type(auth), "not a RegistryAuth")
        for name in auth.__struct_fields__:
            if not isinstance(getattr(auth, name), str):
                raise RuleViolation(f"{field}[{key!r}].{name}", _type(getattr(auth, name)), "not a str")
        credentials[registry] = auth
    return credentials


def _type(value: object) -> str:
    return f"<{type(value).__name__}>"


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise RuleViolation(field, value, "not True or False")
    return value


def check_stdin(plan: RunPlan, request: RunRequest, stdin: object) -> RunPlan:
    """Check a source of stdin. Return the plan of a run that has a stdin, and that the source alone writes to."""
    if not isinstance(stdin, AsyncIterable):
        raise RuleViolation("stdin", stdin, "not an async iterable of bytes")
    if request.input is not None:
        raise RuleViolation("stdin", cast("object", stdin), "there is an input as well; give one of the two")
    return plan._replace(input=b"")


def encode_input(value: object) -> bytes | None:
    """Return what is written to stdin: a JSON text, or the bytes themselves; None without a stdin."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(cast("bytearray", value))  # Copied: the caller may change its buffer during the run.
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise RuleViolation("input", value, f"not a JSON value: {error}") from error
