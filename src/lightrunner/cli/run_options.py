"""The options of a run: what `run`, `sandbox`, `exec` and `bench` share, in groups (pure)."""

import argparse
from collections.abc import Callable

from lightrunner.rules import limits

from . import values


def add_image(parser: argparse.ArgumentParser) -> None:
    """The image."""
    parser.add_argument("image", metavar="IMAGE", help="the image; see --pull")


def add_shell(parser: argparse.ArgumentParser) -> None:
    """The command as a line for a shell."""
    parser.add_argument(
        "-c",
        "--shell",
        metavar="SCRIPT",
        help="run a shell command line, as `sh -c` does: -c 'python main.py | tee log'; in place of -- COMMAND",
    )


def add_files(parser: argparse.ArgumentParser) -> None:
    """Files and input, and what the run finds around it."""
    group = parser.add_argument_group("files and input")
    _add_folder(group.add_argument)
    group.add_argument(
        "--input",
        metavar="JSON|@FILE|-",
        type=values.input_source,
        help="what the command reads from stdin: a JSON text, a file's bytes, or the bytes of lightrunner's own stdin",
    )
    group.add_argument(
        "-i",
        "--interactive",
        action="store_true",
        help="pass lightrunner's own stdin on to the command as it comes; with --tty, the keys of this terminal",
    )
    group.add_argument(
        "--extract",
        metavar="FROM:TO",
        type=values.extract,
        action="append",
        default=[],
        help="after exit code 0, copy a file or a folder out: FROM in the container (relative: from the workdir), TO "
        "a folder here. A folder's contents land directly in TO, a file as TO/its name",
    )
    add_env(group.add_argument)
    group.add_argument(
        "--secret",
        metavar="NAME=FILE",
        type=values.pair,
        action="append",
        default=[],
        help="give it a file's content as /run/secrets/NAME, in memory and for its user alone",
    )
    _add_workdir(group.add_argument)
    add_setup(group.add_argument)


def add_sandbox_files(parser: argparse.ArgumentParser) -> None:
    """Files, and what commands of a sandbox find around them."""
    group = parser.add_argument_group("files")
    _add_folder(group.add_argument)
    add_env(group.add_argument)
    _add_workdir(group.add_argument)
    add_setup(group.add_argument)


def _add_folder(add_argument: Callable[..., object]) -> None:
    add_argument(
        "--dir",
        metavar="PATH",
        help="copy a folder into the workdir, without .git, node_modules, build and cache folders, virtual "
        "environments, and links",
    )
    add_argument(
        "--ignore",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave more of --dir out: a name or a shell pattern; one with a slash matches the whole relative path",
    )


def add_env(add_argument: Callable[..., object]) -> None:
    """Environment variables."""
    add_argument(
        "-e",
        "--env",
        metavar="NAME[=VALUE]",
        type=values.variable,
        action="append",
        default=[],
        help="set an environment variable; without =VALUE, to its value here",
    )


def _add_workdir(add_argument: Callable[..., object]) -> None:
    add_argument(
        "-w",
        "--workdir",
        metavar="PATH",
        default=limits.DEFAULT_WORKDIR,
        help="the working directory, on a fresh volume (default: %(default)s)",
    )


def add_setup(add_argument: Callable[..., object]) -> None:
    """Setup steps, the image's platform, and when it is pulled."""
    add_argument(
        "--setup",
        metavar="STEP",
        action="append",
        default=[],
        help="a shell command that is baked into a cached image before the run: --setup 'pip install requests'. "
        "Steps are trusted: none of the sandbox's limits hold for them",
    )
    add_argument("--platform", metavar="OS/ARCH", help="the image's platform, if it is not the daemon's own")
    add_argument(
        "--pull",
        choices=["missing", "always", "never"],
        default="missing",
        help="pull the image if the daemon does not have it, in any case, or never (default: %(default)s)",
    )


def add_limits(parser: argparse.ArgumentParser, *, of_run: bool = True) -> None:
    """Limits, and the walls around a container. `of_run`: those that a sandbox lacks as well."""
    group = parser.add_argument_group("limits and isolation")
    group.add_argument(
        "--timeout",
        metavar="DURATION",
        type=values.limit,
        default=limits.DEFAULT_TIMEOUT,
        help="kill it after 90, 5m, 2h, … (default: 20m); none: never",
    )
    if of_run:
        group.add_argument(
            "--cpu-timeout", metavar="DURATION", type=values.duration, help="kill it after that CPU time"
        )
    group.add_argument(
        "--network",
        metavar="NAME",
        help="none, or the name of a network (default: a bridge on which containers cannot reach each other)",
    )
    add_walls(group.add_argument)


def add_walls(add_argument: Callable[..., object]) -> None:
    """The options of a runner: the limits and the walls of every container."""
    add_argument(
        "-m",
        "--memory",
        metavar="SIZE",
        default=limits.DEFAULT_MEMORY,
        help="the memory limit, swap included: 256m, 1.5g (default: %(default)s)",
    )
    add_argument("--cpus", metavar="N", default=f"{limits.DEFAULT_CPUS:g}", help="the CPU limit (default: %(default)s)")
    add_argument(
        "--runtime",
        metavar="NAME",
        default=limits.DEFAULT_RUNTIME,
        help="runc, runsc (gVisor), kata, or any name that the daemon knows (default: %(default)s)",
    )
    add_argument("--gpus", metavar="GPUS", help="all, a count, or a list: device=0,1 (default: none)")
    add_argument(
        "--pids",
        metavar="N",
        type=values.count,
        default=limits.DEFAULT_PIDS,
        help="how many processes and threads it may have (default: %(default)s)",
    )
    add_argument("--disk", metavar="SIZE", help="how much it may write to its file system: 1g")
    add_argument("--read-only", action="store_true", help="make the image's file system read-only")
    add_argument(
        "--tmpfs",
        metavar="PATH[:OPTIONS]",
        type=values.tmpfs,
        action="append",
        default=[],
        help="a folder in memory: /scratch:size=64m",
    )
    add_argument(
        "--ulimit",
        metavar="NAME=SOFT[:HARD]",
        type=values.ulimit,
        action="append",
        default=[],
        help="a limit of each process: nofile=1024",
    )
    add_argument("--seccomp", metavar="FILE", help="a seccomp profile in place of the daemon's")
    add_argument(
        "--userns", choices=["host", "remap"], help="remap: fail unless the daemon maps users to unprivileged ones"
    )
    add_argument(
        "--allow-new-privileges",
        action="store_true",
        help="let setuid programs raise privileges, which is blocked by default",
    )


def add_user(add_argument: Callable[..., object], default: str) -> None:
    """The user. `default` says who it is otherwise."""
    add_argument("-u", "--user", metavar="USER[:GROUP]", help=f"the user of the command (default: {default})")


def add_identity(parser: argparse.ArgumentParser, *, of_run: bool = True) -> None:
    """Who and where the command is. `of_run`: also what becomes of its output."""
    group = parser.add_argument_group("identity and output" if of_run else "identity")
    add_user(group.add_argument, "the image's")
    group.add_argument("--hostname", metavar="NAME", help="the container's host name")
    group.add_argument(
        "--add-host",
        metavar="NAME:ADDRESS",
        type=values.host_entry,
        action="append",
        default=[],
        help="a line of its /etc/hosts",
    )
    group.add_argument(
        "-l",
        "--label",
        metavar="NAME=VALUE",
        type=values.pair,
        action="append",
        default=[],
        help="a label of the container",
    )
    if not of_run:
        return
    group.add_argument(
        "--output-limit", metavar="BYTES", type=values.count, help="kill it once it has written more than that"
    )
    group.add_argument(
        "--usage",
        action="store_true",
        help="measure the CPU time, memory and disk accesses of the run, and print them to stderr, or into --json",
    )
    group.add_argument(
        "-t",
        "--tty",
        action="store_true",
        help="give it a terminal of the size of this one: all of its output is then stdout. With -i, its keys are this "
        "terminal's",
    )
