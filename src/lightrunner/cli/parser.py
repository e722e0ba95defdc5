"""The command line: one definition of every command, option and help text (pure).

`lightrunner.cli.run_options` has the options of a run, `lightrunner.cli.sandbox_commands` the commands for sandboxes.
"""

import argparse
from collections.abc import Sequence

from lightrunner.rules.limits import DEFAULT_CACHE_AGE, STOP_GRACE

from . import exits, run_options, server_options, values
from .commands import Commands, Parser, add_host, add_quiet
from .sandbox_commands import add_sandboxes

DESCRIPTION = """
Run one piece of untrusted code in one disposable container, and leave nothing behind.
"""
EPILOG = f"""
examples:
  lightrunner run python:3.12-alpine -- python -c 'print(6 * 7)'
  lightrunner run python:3.12-alpine --dir . --network none --timeout 10 -c 'python main.py'
  lightrunner doctor

exit status:
  of `run` and `attach`   the container's exit code; of `exec` the command's
  {exits.USAGE}   the command line is wrong, or there is no such run or sandbox
  {exits.UNREACHABLE}   the Docker daemon cannot be reached
  {exits.INCOMPLETE}   the container ended with 0, but not all of --extract could be copied
  {exits.FAILED}   lightrunner or the daemon failed
  130, 143, …   ended by Ctrl-C, SIGTERM, …; the container is gone by then

environment:
  LIGHT_RUNNER_HOST, DOCKER_HOST, DOCKER_CONTEXT   the daemon; `lightrunner doctor` tells which is used
  LIGHT_RUNNER_STATE_DIR   where detached runs are kept (default: ~/.light-runner/state)
  NO_COLOR   no colours

`lightrunner COMMAND --help` explains a command, with examples.
"""


def build_parser(
    version: str, formatter: type[argparse.HelpFormatter] = argparse.RawDescriptionHelpFormatter
) -> Parser:
    """The whole command line.

    Args:
        version: what ``--version`` prints.
        formatter: of help texts; descriptions have their line breaks already.
    """
    parser = Parser(
        "lightrunner",
        usage="%(prog)s COMMAND [options]",
        description=DESCRIPTION.strip(),
        epilog=EPILOG.strip(),
        formatter_class=formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lightrunner {version}")
    add_host(parser, default=None)
    commands = parser.add_subparsers(
        title="commands", dest="command_name", metavar="COMMAND", required=True, prog="lightrunner"
    )
    factory = Commands(commands.add_parser, formatter)
    _add_run(factory)
    add_sandboxes(factory)
    _add_detached(factory)
    _add_upkeep(factory)
    _add_bench(factory)
    _add_serve(factory)
    _add_mcp(factory)
    completion = factory.add(
        "completion",
        "print the code that completes commands, options and run ids in a shell",
        """
        Needs the extra: pip install 'lightrunner[cli]'.
        """,
        """
        eval "$(lightrunner completion bash)"
        lightrunner completion fish > ~/.config/fish/completions/lightrunner.fish
        """,
        json=False,
        host=False,
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish", "tcsh"], help="the shell")
    return parser


def split_command(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """The tool's own arguments, and the command behind the first ``--``; None without one.

    Done before argparse, whose treatment of ``--`` differs between versions of Python.
    """
    own = list(arguments)
    if "--" not in own:
        return own, None
    at = own.index("--")
    return own[:at], own[at + 1 :]


def _add_run(commands: Commands) -> None:
    run = commands.add(
        "run",
        "run a command in a new container, and remove it",
        """
        The command's stdout and stderr are passed on byte for byte, and its exit code is
        this command's. Without a command the image's own is run. It is run by the image's
        sh. What lightrunner itself has to say goes to stderr.

        Ctrl-C and SIGTERM kill the container at once, or after --grace; nothing is left of
        it on the daemon.

        With --json the output is not passed on: it is part of the JSON object, up to
        8 MiB for each stream.
        """,
        """
        lightrunner run python:3.12-alpine -- python -c 'print(6 * 7)'
        lightrunner run python:3.12-alpine --dir ./project --input '{"n": 20}' -- python main.py
        cat data.csv | lightrunner run alpine --input - --network none -- wc -l
        lightrunner run alpine -c 'echo hello > out.txt' --extract out.txt:./results
        lightrunner run python:3.12-alpine --setup 'pip install requests' -- python -c 'import requests'
        lightrunner run alpine --detach --timeout 2h -- ./long-job
        """,
        usage="%(prog)s IMAGE [options] [-- COMMAND ...]",
    )
    run_options.add_image(run)
    run_options.add_shell(run)
    run.add_argument(
        "-d", "--detach", action="store_true", help="start it, print its id, and leave it; see `lightrunner attach`"
    )
    run.add_argument(
        "--grace",
        metavar="DURATION",
        type=values.duration,
        default=0.0,
        help="on Ctrl-C or SIGTERM, pass the signal on, and kill only after this time or a second signal (default: 0)",
    )
    add_quiet(run)
    run_options.add_files(run)
    run_options.add_limits(run)
    run_options.add_identity(run)


def _add_detached(commands: Commands) -> None:
    ps = commands.add(
        "ps",
        "list the detached runs of this host",
        """
        Without --all: those that run, are paused, or have exited and wait for `attach`
        to copy their files and report their exit code.
        """,
        """
        lightrunner ps
        lightrunner ps --all --json
        lightrunner stop $(lightrunner ps --quiet)
        """,
    )
    ps.add_argument("-a", "--all", action="store_true", help="finished runs as well")
    ps.add_argument("-q", "--quiet", action="store_true", help="print ids only")

    attach = commands.add(
        "attach",
        "wait for a detached run: its output from the start, its files, its exit code",
        """
        Works from any process of the host, at any time, and from several at once. Once
        the run has ended, its files are copied out and its container is removed. Ctrl-C
        ends this command, not the run.
        """,
        """
        id=$(lightrunner run alpine --detach -- sh -c 'sleep 5; echo done')
        lightrunner attach $id
        lightrunner attach --json 3f2a
        """,
    )
    _add_run_id(attach)
    add_quiet(attach)

    logs = commands.add(
        "logs",
        "print the output of a detached run so far",
        """
        The daemon keeps the last 16 to 32 MB of it, until the run is finished by
        `attach`, `stop` or `reap`.
        """,
        """
        lightrunner logs 3f2a
        lightrunner logs --follow 3f2a | grep -i error
        """,
        json=False,
    )
    _add_run_id(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")

    stop = commands.add(
        "stop",
        "stop detached runs: a signal, then SIGKILL",
        """
        The run then counts as cancelled. Its container is removed, and none of its files
        are copied out. A run that has ended already is finished as `attach` does it.
        """,
        """
        lightrunner stop 3f2a
        lightrunner stop --signal SIGINT --grace 30 3f2a 90cd
        """,
    )
    _add_run_id(stop, several=True)
    stop.add_argument("-s", "--signal", metavar="SIGNAL", default="SIGTERM", help="(default: %(default)s)")
    stop.add_argument(
        "-t",
        "--grace",
        metavar="DURATION",
        type=values.duration,
        default=STOP_GRACE,
        help="from the signal to SIGKILL (default: %(default)g s)",
    )

    pause = commands.add(
        "pause",
        "freeze the processes of detached runs",
        "Their time-outs run on.",
        "lightrunner pause 3f2a",
    )
    _add_run_id(pause, several=True)
    resume = commands.add(
        "resume",
        "thaw the processes of detached runs",
        "",
        "lightrunner resume 3f2a",
    )
    _add_run_id(resume, several=True)


def _add_upkeep(commands: Commands) -> None:
    reap = commands.add(
        "reap",
        "remove what dead processes have left on the daemon",
        """
        Removes the runs of processes that were killed, kills detached runs that are past
        their time-out, and finishes those that ended long ago, with their files. Runs of
        a living process, of another host, and detached runs within their time-out stay.
        Call it from cron.
        """,
        """
        lightrunner reap --dry-run
        lightrunner reap
        """,
    )
    reap.add_argument("-n", "--dry-run", action="store_true", help="only list them")

    cache = commands.add(
        "cache",
        "list or remove the cached images of setup steps",
        "",
        """
        lightrunner cache list
        lightrunner cache prune --older-than 1d
        """,
    )
    cache.add_argument("action", choices=["list", "prune"], help="what to do")
    cache.add_argument(
        "--older-than",
        metavar="DURATION",
        type=values.duration,
        default=DEFAULT_CACHE_AGE,
        help="prune: what was not used for so long (default: 7d)",
    )

    commands.add(
        "doctor",
        "check the daemon and this host, and say what to do",
        f"""
        Looks at the daemon and how it was chosen, API version, cgroups, limits, runtimes,
        storage, disk space, the isolated network, the state folder, and what dead runs
        have left.

        Exit status: 0: all is well. 1: runs work, but something deserves attention.
        2: runs do not work. {exits.UNREACHABLE}: the daemon cannot be reached.
        """,
        """
        lightrunner doctor
        lightrunner doctor --host ssh://me@server --json
        """,
    )


def _add_bench(commands: Commands) -> None:
    bench = commands.add(
        "bench",
        "measure the spawn latency of an image and a command",
        """
        Each sample is one run, whole: its own container, its output, its removal. Three
        ways take turns: cold (all of it on demand), prepared (the network namespace made
        ahead of time), warm (the whole container made ahead of time; the image needs sh).
        """,
        """
        lightrunner bench alpine -- true
        lightrunner bench python:3.12-alpine --samples 50 --json -- python -c 'print(1)'
        """,
        usage="%(prog)s IMAGE [options] [-- COMMAND ...]",
    )
    run_options.add_image(bench)
    run_options.add_shell(bench)
    bench.add_argument(
        "--samples", metavar="N", type=values.count, default=10, help="runs of each way (default: %(default)s)"
    )
    bench.add_argument(
        "--way",
        action="append",
        choices=["cold", "prepared", "warm"],
        help="measure only this one; may be repeated (default: all)",
    )
    add_quiet(bench)
    run_options.add_setup(bench.add_argument_group("image").add_argument)
    run_options.add_limits(bench)


def _add_serve(commands: Commands) -> None:
    serve = commands.add(
        "serve",
        "serve runs over HTTP, for programs in other languages",
        """
        Needs the extra: pip install 'lightrunner[serve]'. POST /runs starts a run,
        GET /runs/ID/output streams its output, GET /openapi.json describes the rest.

        A Unix socket has mode 0600: only this user can connect. TCP is for loopback
        addresses alone, with a token: clients send Authorization: Bearer TOKEN.

        No request exceeds the maxima below. No request names a file of this host.
        Ctrl-C and SIGTERM end all runs; nothing is left of them.
        """,
        """
        lightrunner serve
        lightrunner serve --listen unix:///run/me/lightrunner.sock --memory 256m --concurrent 8
        LIGHT_RUNNER_SERVE_TOKEN=$(openssl rand -hex 16) lightrunner serve --listen 127.0.0.1:8080
        """,
        json=False,
    )
    server_options.add_address(serve)
    server_options.add_policy(serve)
    run_options.add_walls(serve.add_argument_group("limits and isolation of each container").add_argument)


def _add_mcp(commands: Commands) -> None:
    mcp = commands.add(
        "mcp",
        "give an agent tools that run code, by the Model Context Protocol",
        """
        Needs the extra: pip install 'lightrunner[mcp]'. The agent starts this command and
        talks to it over stdin and stdout: register it as a server of its configuration.

        The tools: run_code runs a program in a new container; start_sandbox, exec,
        write_file, read_file and stop_sandbox work in one that stays. When the agent
        leaves, nothing of them is left.
        """,
        """
        lightrunner mcp
        lightrunner mcp --network isolated --memory 1g --language python=my/python:3.12
        """,
        json=False,
    )
    server_options.add_agent_policy(mcp)
    run_options.add_walls(mcp.add_argument_group("limits and isolation of each container").add_argument)


def _add_run_id(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    parser.add_argument(
        "run_id",
        metavar="ID",
        nargs="+" if several else None,
        help="the run's id, or the beginning of it that no other run has",
    )
