"""Requests, options and extract specs: the values that a caller passes in. `lightrunner.plan` checks them."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import trio

from .rules.limits import (
    DEFAULT_BUILD_TIMEOUT,
    DEFAULT_CPUS,
    DEFAULT_MAX_EXTRACT_BYTES,
    DEFAULT_MEMORY,
    DEFAULT_RUNTIME,
    DEFAULT_TIMEOUT,
    DEFAULT_WORKDIR,
)


class ExtractSpec(msgspec.Struct, frozen=True):
    """A file or a folder to pull out of the container after exit code 0.

    Attributes:
        from_: its path in the container; a relative one starts at the workdir. A folder's contents land directly in
            `to`, as ``rsync -a from/ to/`` does; a file lands as ``to/<its name>``.
        to: a folder on the host, made where it is missing.
    """

    from_: str
    to: str | os.PathLike[str]


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of code to run in one disposable container. It is checked as a whole before anything is created.

    Attributes:
        image: an image reference; pulled where it is missing.
        entrypoint: a shell command, run as ``sh -c`` in place of the image's ENTRYPOINT and CMD; None: the image's own.
        run: setup steps, each a shell command, baked into an image that is kept (``light-runner-cache:…``) and found
            again by the next request with the same image and steps. They are trusted: the build has none of the
            sandbox's walls.
        dir: a host folder to copy into the workdir. ``.git``, ``node_modules``, build and cache folders, Python's
            virtual environments, links, sockets, devices and pipes stay behind.
        ignore: more names or shell patterns to leave out of `dir`; one with a slash matches the whole relative path.
        input: any JSON value, written to stdin, then end of file; bytes go as they are. None: no stdin.
        timeout: seconds from the start to SIGKILL; None: no limit.
        network: None: the isolated bridge; ``none``; the name of a network.
        env: environment variables. Names that are not POSIX names are dropped, with a `LightRunnerWarning`.
        workdir: an absolute path, the working directory; a fresh volume is mounted there.
        extract: what to pull out after exit code 0.
        capture_output: keep stdout and stderr in the result, up to 8 MiB each.
        platform: of the image, where it is not the daemon's own: ``linux/arm64``.
    """

    image: str
    entrypoint: str | None = None
    run: Sequence[str] = ()
    dir: str | os.PathLike[str] | None = None
    ignore: Sequence[str] = ()
    input: Any = None
    timeout: float | None = DEFAULT_TIMEOUT
    network: str | None = None
    env: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    workdir: str = DEFAULT_WORKDIR
    extract: Sequence[ExtractSpec] = ()
    capture_output: bool = False
    platform: str | None = None


class RunnerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every run of a `DockerRunner`. The security defaults beside these cannot be switched off.

    Attributes:
        memory: the memory limit, swap included: ``"512m"``, ``"1.5g"`` (binary units) or an int of bytes, from 6 MiB.
        cpus: how many CPUs' time, from 0.01: a number or a text.
        runtime: ``runc``, ``runsc`` (gVisor), ``kata``, or any name the daemon knows. ``runc`` is not sent: it is the
            daemon's own default that runs then.
        gpus: ``"all"``, a count, or a list as ``docker run --gpus`` takes it: ``"device=0,1"``. None: no GPU.
        no_new_privileges: block setuid escalation in the container.
        max_extract_bytes: cap on the archive of one `ExtractSpec`.
        max_concurrent: how many runs at once; the others wait. An int, or a limiter to share; None: no limit.
        build_timeout: seconds for the build of setup steps, without the pull before it; None: no limit.
        host: the daemon: ``unix:///path`` or ``tcp://host:port``; None: ``DOCKER_HOST`` or the usual sockets.
    """

    memory: str | int = DEFAULT_MEMORY
    cpus: float | str = DEFAULT_CPUS
    runtime: str = DEFAULT_RUNTIME
    gpus: str | int | None = None
    no_new_privileges: bool = True
    max_extract_bytes: int = DEFAULT_MAX_EXTRACT_BYTES
    max_concurrent: int | trio.CapacityLimiter | None = None
    build_timeout: float | None = DEFAULT_BUILD_TIMEOUT
    host: str | None = None
