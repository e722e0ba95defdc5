"""``mcp``: tools for an agent over stdin and stdout, until it leaves."""

import argparse
from collections.abc import Sequence

from lightrunner.errors import invalid_request
from lightrunner.mcp.languages import with_images
from lightrunner.mcp.server import serve_stdio
from lightrunner.mcp.toolbox import AgentPolicy

from . import exits
from .extras import check_extra
from .request import runner_options
from .signals import Signals

ISOLATED = "isolated"
"""The value of ``--network`` for the isolated bridge."""


async def serve_tools(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Serve the agent that has started this process."""
    check_extra("mcp", "mcp")
    with invalid_request():
        languages = with_images(dict(args.language))
    policy = AgentPolicy(
        languages=languages,
        images=args.allow_image,
        network=None if args.network == ISOLATED else args.network,
        default_timeout=args.timeout,
        max_timeout=args.max_timeout,
        max_concurrent=args.concurrent,
        max_sandboxes=args.sandboxes,
        idle_time=args.idle,
    )
    await serve_stdio(runner_options(args), policy)
    return exits.OK
