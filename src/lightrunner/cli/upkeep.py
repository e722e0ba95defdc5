"""What is left over, and what is kept: ``reap``, ``cache``."""

import argparse
import time
from collections.abc import Sequence

from lightrunner import DockerRunner

from . import exits, tables
from .signals import Signals
from .stdio import put

_SHOWN_TAG = 32


async def reap(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """Remove orphans, or list them."""
    async with DockerRunner(host=args.host) as runner:
        reaped = await runner.reap_orphans(dry_run=args.dry_run)
        finished = 0 if args.dry_run else await runner.cleanup_orphan_states()
    if args.json:
        put(tables.to_json({**tables.as_object(reaped), "states": finished, "dry_run": args.dry_run}))
    else:
        for kind, names in (("container", reaped.containers), ("volume", reaped.volumes)):
            for name in names:
                put(f"{kind} {tables.printable(name)}")
    return exits.OK


async def cache(args: argparse.Namespace, _command: Sequence[str] | None, _signals: Signals) -> int:
    """List or remove cache images."""
    async with DockerRunner(host=args.host) as runner:
        if args.action == "prune":
            removed = await runner.cleanup_orphan_cache(args.older_than)
            if args.json:
                put(tables.to_json(removed))
            else:
                for tag in removed.removed:
                    put(tag)
                put(f"freed {tables.size(removed.freed_bytes)}")
            return exits.OK
        images = await runner.list_cache()
    if args.json:
        put(tables.to_json({"images": images}))
    else:
        rows = [
            (
                tables.short(image.tag, _SHOWN_TAG),
                tables.size(image.size_bytes),
                f"{tables.age(time.time() - image.created.timestamp())} ago",
                f"{tables.age(time.time() - image.last_used.timestamp())} ago" if image.last_used else "not known",
            )
            for image in images
        ]
        put(tables.table(("IMAGE", "SIZE", "CREATED", "LAST USED"), rows))
    return exits.OK
