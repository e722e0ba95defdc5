"""``serve``: runs over HTTP until Ctrl-C or SIGTERM."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import trio

from lightrunner.errors import invalid_request
from lightrunner.nurseries import open_bare_nursery
from lightrunner.rules.limits import MIB
from lightrunner.serve.policy import ServePolicy
from lightrunner.serve.server import Address, parse_address, serve

from . import exits
from .exits import UsageError
from .extras import check_extra
from .request import runner_options
from .signals import Signals
from .stdio import say

TOKEN_VARIABLE = "LIGHT_RUNNER_SERVE_TOKEN"  # noqa: S105 - the name of one
MAX_EXTRACT_BYTES = 64 * MIB
"""Of one entry. A client takes what it needs, and the server keeps it for a while."""

_SOCKET_NAME = "lightrunner.sock"
_DEFAULT_SOCKET = "~/.light-runner/serve.sock"


async def serve_runs(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Serve until a signal. Say on stderr where."""
    check_extra("serve", "hypercorn")
    token = _token(args.token_file)
    with invalid_request():
        address = parse_address(args.listen or _default_address(), token)
    policy = ServePolicy(
        max_concurrent=args.concurrent,
        max_queued=args.queue,
        max_timeout=args.max_timeout,
        max_cpu_timeout=args.max_cpu_timeout,
        max_output=args.max_output,
        images=args.allow_image,
        networks=args.allow_network,
        allow_setup=args.allow_setup,
        keep_time=args.keep,
    )
    options = msgspec.structs.replace(runner_options(args), max_extract_bytes=MAX_EXTRACT_BYTES)

    async def run(task_status: trio.TaskStatus[Address]) -> None:
        await serve(address, options, policy, token=token, task_status=task_status)

    async with open_bare_nursery() as nursery:
        say(f"listening on {await nursery.start(run)}")
    return exits.OK


def _token(path: str | None) -> str | None:
    """The token of the file, or of the environment; None without both. Never of the command line, which ps shows."""
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file: {error}") from error


def _default_address() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return f"unix://{runtime}/{_SOCKET_NAME}"
    path = Path(_DEFAULT_SOCKET).expanduser()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"unix://{path}"
