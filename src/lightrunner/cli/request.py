"""Parsed arguments as a request and options (pure).

`run_request` and `runner_options` return what `DockerRunner` takes, or raise `UsageError`. What the values mean is for
the library to check: it names field and value.
"""

import argparse
import os
import shlex
from collections.abc import Callable, Mapping, Sequence

from lightrunner import ExtractSpec, RunnerOptions, RunRequest
from lightrunner.rules.limits import DEFAULT_TTY_SIZE

from .exits import UsageError
from .messages import CopyIn, CopyOut, Exec
from .values import InputSource, Place, Variable


def entrypoint(args: argparse.Namespace, command: Sequence[str] | None) -> str | None:
    """The command in the container as a line for its sh; None for the image's own.

    Raises:
        UsageError: both ``--shell`` and a command are given, or ``--`` without a command.
    """
    script: str | None = args.shell
    if command is None:
        return script
    if script is not None:
        raise UsageError("both --shell and a command behind -- are given")
    if not command:
        raise UsageError("no command behind --")
    return shlex.join(command)


def environment(variables: Sequence[Variable], environ: Mapping[str, str]) -> dict[str, str]:
    """The run's variables; the last of a name counts.

    Raises:
        UsageError: a variable is to have its value from here, and has none.
    """
    env: dict[str, str] = {}
    for name, value in variables:
        if value is None and name not in environ:
            raise UsageError(f"--env {name}: it is not set here; give it a value: --env {name}=VALUE")
        env[name] = environ[name] if value is None else value
    return env


def run_request(
    args: argparse.Namespace,
    command: Sequence[str] | None,
    environ: Mapping[str, str],
    read: Callable[[str, InputSource], bytes],
    *,
    resolve: Callable[[str], str] = os.path.realpath,
    tty_size: tuple[int, int] = DEFAULT_TTY_SIZE,
) -> RunRequest:
    """The request of ``lightrunner run``.

    Args:
        args: its parsed options.
        command: what stood behind ``--``.
        environ: for ``--env NAME``.
        read: reads what an option names; it is told the option as it was given.
        resolve: makes a path with ``..`` absolute, links followed.
        tty_size: rows and columns for ``--tty``.

    Raises:
        UsageError: options do not go together.
    """
    if args.interactive and (args.input is not None or args.detach):
        raise UsageError(f"--interactive does not go together with {'--detach' if args.detach else '--input'}")
    return RunRequest(
        image=args.image,
        entrypoint=entrypoint(args, command),
        run=args.setup,
        dir=args.dir,
        ignore=args.ignore,
        timeout=args.timeout,
        network=args.network,
        env=environment(args.env, environ),
        workdir=args.workdir,
        # The library refuses "..", since it cannot know who has written it. Here it was the user.
        extract=[
            ExtractSpec(entry.from_, resolve(entry.to) if ".." in str(entry.to).split("/") else entry.to)
            for entry in args.extract
        ],
        capture_output=args.json and not args.detach,
        platform=args.platform,
        user=args.user,
        hostname=args.hostname,
        extra_hosts=dict(args.add_host),
        labels=dict(args.label),
        cpu_timeout=args.cpu_timeout,
        output_limit=args.output_limit,
        tty=args.tty,
        tty_size=tty_size,
        pull=args.pull,
        secrets={name: read(f"--secret {name}={path}", InputSource(path=path)) for name, path in args.secret},
        # Read last: nothing is taken from stdin for a command line that is wrong.
        input=None if args.input is None else read(f"--input {args.input}", args.input),
    )


def sandbox_request(args: argparse.Namespace, environ: Mapping[str, str]) -> RunRequest:
    """The request of ``lightrunner sandbox``.

    Raises:
        UsageError: as `environment`.
    """
    return RunRequest(
        image=args.image,
        run=args.setup,
        dir=args.dir,
        ignore=args.ignore,
        timeout=args.timeout,
        network=args.network,
        env=environment(args.env, environ),
        workdir=args.workdir,
        platform=args.platform,
        user=args.user,
        hostname=args.hostname,
        extra_hosts=dict(args.add_host),
        labels=dict(args.label),
        pull=args.pull,
    )


def exec_order(
    args: argparse.Namespace,
    command: Sequence[str] | None,
    environ: Mapping[str, str],
    *,
    terminal: tuple[int, int] | None,
) -> Exec:
    """The order of ``lightrunner exec``. `terminal` has rows and columns.

    Raises:
        UsageError: there is no command, or there are two; as `environment`.
    """
    script: str | None = args.shell
    if script is not None and command is not None:
        raise UsageError("both --shell and a command behind -- are given")
    if script is None and not command:
        raise UsageError("no command: give it behind --, or with --shell")
    return Exec(
        command=list(command or ()) if script is None else script,
        env=environment(args.env, environ),
        workdir=args.workdir,
        user=args.user,
        timeout=args.timeout,
        terminal=terminal,
    )


def copy_order(
    args: argparse.Namespace, *, absolute: Callable[[str], str] = os.path.abspath
) -> tuple[str, CopyIn | CopyOut]:
    """The sandbox's id, or its beginning, and the order of ``lightrunner cp``.

    Raises:
        UsageError: none of the two paths is in a sandbox, or both are.
    """
    source: Place = args.source
    target: Place = args.target
    if source.sandbox is None and target.sandbox is not None:
        return target.sandbox, CopyIn(os.fsencode(absolute(source.path)), target.path, args.user)
    if source.sandbox is not None and target.sandbox is None:
        # The slash at the end, which `abspath` takes off, says that it is a folder.
        slash = "/" if target.path.endswith("/") else ""
        return source.sandbox, CopyOut(source.path, os.fsencode(absolute(target.path) + slash), args.user)
    raise UsageError("one of the two paths has to be in a sandbox, ID:PATH, and the other one here")


def bench_request(args: argparse.Namespace, command: Sequence[str] | None) -> RunRequest:
    """The request of ``lightrunner bench``.

    Raises:
        UsageError: as `entrypoint`.
    """
    return RunRequest(
        image=args.image,
        entrypoint=entrypoint(args, command),
        run=args.setup,
        timeout=args.timeout,
        cpu_timeout=args.cpu_timeout,
        network=args.network,
        platform=args.platform,
        pull=args.pull,
    )


def runner_options(args: argparse.Namespace) -> RunnerOptions:
    """The options of the runner for ``run``, ``sandbox`` and ``bench``."""
    return RunnerOptions(
        memory=args.memory,
        cpus=args.cpus,
        runtime=args.runtime,
        gpus=args.gpus,
        no_new_privileges=not args.allow_new_privileges,
        pids=args.pids,
        read_only=args.read_only,
        tmpfs=dict(args.tmpfs),
        ulimits=dict(args.ulimit),
        seccomp=args.seccomp,
        userns=args.userns,
        disk=args.disk,
        usage=getattr(args, "usage", False),
        host=args.host,
    )
