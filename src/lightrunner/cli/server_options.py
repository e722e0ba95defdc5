"""The options of `lightrunner serve` and `lightrunner mcp` alone, in groups (pure)."""

import argparse

from lightrunner.mcp.languages import LANGUAGES
from lightrunner.rules import limits
from lightrunner.serve.policy import ServePolicy

from . import values

_POLICY = ServePolicy()


def add_address(parser: argparse.ArgumentParser) -> None:
    """Where to listen, and who may connect."""
    group = parser.add_argument_group("address")
    group.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="unix:///path, or HOST:PORT of a loopback address (default: lightrunner.sock in $XDG_RUNTIME_DIR, or "
        "~/.light-runner/serve.sock)",
    )
    group.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file with the token that clients have to present (default: $LIGHT_RUNNER_SERVE_TOKEN)",
    )


def add_policy(parser: argparse.ArgumentParser) -> None:
    """What clients may ask for."""
    group = parser.add_argument_group("what clients may ask for")
    group.add_argument(
        "--concurrent",
        metavar="N",
        type=values.count,
        default=_POLICY.max_concurrent,
        help="runs at once (default: %(default)s)",
    )
    group.add_argument(
        "--queue",
        metavar="N",
        type=values.count,
        default=_POLICY.max_queued,
        help="runs that may wait; more are refused with 429 (default: %(default)s)",
    )
    group.add_argument(
        "--max-timeout",
        metavar="DURATION",
        type=values.duration,
        default=limits.DEFAULT_TIMEOUT,
        help="the longest time-out of a run (default: 20m)",
    )
    group.add_argument(
        "--max-cpu-timeout", metavar="DURATION", type=values.duration, help="the most CPU time (default: no limit)"
    )
    group.add_argument(
        "--max-output", metavar="BYTES", type=values.count, help="the most output of a run (default: no limit)"
    )
    group.add_argument(
        "--allow-image",
        metavar="PATTERN",
        action="append",
        default=[],
        help="an image, or a shell pattern of images; may be repeated (default: any image)",
    )
    group.add_argument(
        "--allow-network",
        metavar="NAME",
        action="append",
        default=[],
        help="a named network; may be repeated (default: only the isolated bridge, and none)",
    )
    group.add_argument(
        "--allow-setup", action="store_true", help="accept setup steps; none of the sandbox's limits hold for them"
    )
    group.add_argument("--usage", action="store_true", help="measure the CPU time, memory and disk accesses of runs")
    group.add_argument(
        "--keep",
        metavar="DURATION",
        type=values.duration,
        default=_POLICY.keep_time,
        help="how long finished runs and their files are kept (default: 10m)",
    )


def add_agent_policy(parser: argparse.ArgumentParser) -> None:
    """What an agent may ask for."""
    group = parser.add_argument_group("what the agent may ask for")
    group.add_argument(
        "--network",
        metavar="NAME",
        default="none",
        help="none; isolated: a bridge without traffic between containers; or a network's name (default: none)",
    )
    group.add_argument(
        "--language",
        metavar="NAME=IMAGE",
        type=values.pair,
        action="append",
        default=[],
        help=f"the image for a language, of {', '.join(LANGUAGES)}; may be repeated",
    )
    group.add_argument(
        "--allow-image",
        metavar="PATTERN",
        action="append",
        default=[],
        help="an image beside those of the languages, or a shell pattern; may be repeated (default: any image)",
    )
    group.add_argument(
        "--timeout",
        metavar="DURATION",
        type=values.duration,
        default=30.0,
        help="of a program or a command for which the agent gives none (default: 30s)",
    )
    group.add_argument(
        "--max-timeout", metavar="DURATION", type=values.duration, default=300.0, help="the longest (default: 5m)"
    )
    group.add_argument(
        "--concurrent", metavar="N", type=values.count, default=4, help="programs at once (default: %(default)s)"
    )
    group.add_argument(
        "--sandboxes", metavar="N", type=values.count, default=4, help="sandboxes at once (default: %(default)s)"
    )
    group.add_argument(
        "--idle",
        metavar="DURATION",
        type=values.duration,
        default=900.0,
        help="remove a sandbox that has not been used for so long (default: 15m)",
    )
