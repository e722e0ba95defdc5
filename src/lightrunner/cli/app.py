"""The entry point: parse, run the command until it ends or a signal comes, and exit with its status."""

import argparse
import logging
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import NoReturn

import trio

from lightrunner import LightRunnerError
from lightrunner.engine import EngineEndpointError, EngineError, EngineUnreachable
from lightrunner.telemetry import RUN_LOGGER

from . import boxes, control, exits, holding, runs, tables, upkeep
from .commands import TAKE_COMMANDS
from .completion import complete, completion
from .diagnosis import doctor
from .exits import CommandError, status_of_error
from .latency import bench
from .mcp import serve_tools
from .parser import build_parser, split_command
from .serve import serve_runs
from .signals import Signals, end, until_signal
from .stdio import keep_descriptors_taken, put, say

Command = Callable[[argparse.Namespace, Sequence[str] | None, Signals], Awaitable[int]]

COMMANDS: dict[str, Command] = {
    "run": runs.run,
    "sandbox": holding.sandbox,
    "sandboxes": boxes.sandboxes,
    "exec": boxes.exec_,
    "cp": boxes.cp,
    "ps": control.ps,
    "attach": runs.attach,
    "logs": control.logs,
    "stop": control.stop,
    "pause": control.pause,
    "resume": control.resume,
    "reap": upkeep.reap,
    "cache": upkeep.cache,
    "doctor": doctor,
    "bench": bench,
    "serve": serve_runs,
    "mcp": serve_tools,
    "completion": completion,
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, by default the process's own, and end the process."""
    keep_descriptors_taken()
    try:
        status = _main(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        status = -signal.SIGINT
    except BrokenPipeError:  # The reader of stdout has left: end as a program does that does not handle SIGPIPE.
        status = -signal.SIGPIPE
    end(status)


def _main(arguments: Sequence[str]) -> int:
    own, command = split_command(arguments)
    args = parse(own)
    if command is not None and args.command_name not in TAKE_COMMANDS:
        return _fail(args, exits.UsageError(f"{args.command_name} takes no command behind --"), exits.USAGE)
    warnings.showwarning = _show_warning
    warnings.simplefilter("always")
    _log_to_stderr()
    try:
        return trio.run(until_signal, partial(COMMANDS[args.command_name], args, command))
    except LightRunnerError as error:
        return _fail(args, error, status_of_error(error))
    except CommandError as error:
        return _fail(args, error, error.status)
    except EngineError as error:
        is_usage = isinstance(error, EngineEndpointError)
        is_gone = isinstance(error, EngineUnreachable)
        return _fail(args, error, exits.USAGE if is_usage else exits.UNREACHABLE if is_gone else exits.FAILED)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(args, error, exits.FAILED)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the tool's own arguments. Exit on a wrong one, on ``--help`` and ``--version``."""
    parser = build_parser(version("lightrunner"), help_formatter())
    complete(parser)
    try:
        args, unknown = parser.parse_known_args(arguments)
        if unknown:
            parser.refuse(unknown, args.command_name)
    except SystemExit:
        sys.stdout.flush()  # Here a closed pipe can be told; at its exit, Python would only complain.
        raise
    return args


def help_formatter() -> type[argparse.HelpFormatter]:
    """rich-argparse's formatter, if the extra ``lightrunner[cli]`` is installed."""
    try:
        from rich_argparse import RawDescriptionRichHelpFormatter  # noqa: PLC0415 - there may be none
    except ImportError:
        return argparse.RawDescriptionHelpFormatter

    class HelpFormatter(RawDescriptionRichHelpFormatter):
        """Square brackets in the texts are meant as they are."""

        text_markup = False
        help_markup = False

    return HelpFormatter


def _fail(args: argparse.Namespace, error: Exception, status: int) -> int:
    """Say what failed: on stderr for people, on stdout as JSON if that was asked for."""
    say(str(error))
    if getattr(args, "json", False):
        reason = error.to_dict() if isinstance(error, LightRunnerError) else {"message": str(error)}
        put(tables.to_json({"error": reason}))
    return status


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")


def _log_to_stderr() -> None:
    """Show the library's warnings and errors, such as what could not be removed."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.name != RUN_LOGGER)  # A failed run is this command's own error.
    handler.setFormatter(logging.Formatter("lightrunner: %(message)s"))
    logger = logging.getLogger("lightrunner")
    logger.addHandler(handler)
    logger.propagate = False
