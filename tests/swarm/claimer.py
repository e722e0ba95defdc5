"""A process that claims what it can get of a service: ``python claimer.py SERVICE SECONDS OPTIONS``; it prints ids."""

import json
import sys
from typing import Any

import trio

from lightrunner import LightRunnerError, RunRequest, SwarmRunner
from lightrunner.plan import check_request
from lightrunner.swarm.claims import Claim, Claims


async def main(service_id: str, seconds: float, image: str, hosts: dict[str, str], limits: dict[str, Any]) -> None:
    """Claim until nothing comes any more, and give all back at the end."""
    manager = next(iter(hosts.values()))
    async with SwarmRunner(host=manager, node_hosts=lambda node: hosts[node.description.hostname], **limits) as runner:
        plan = check_request(RunRequest(image=image, network="none"))
        claims: Claims = runner._claims(service_id, plan)  # pyright: ignore[reportPrivateUsage]
        claimed: list[Claim] = []
        with trio.move_on_after(seconds):
            while True:
                claimed.append(await claims.claim())
        print(json.dumps([claim.container_id for claim in claimed]), flush=True)  # noqa: T201
        await trio.to_thread.run_sync(sys.stdin.readline)
        for claim in claimed:
            await claim.streams.aclose()
            await claim.remove()


if __name__ == "__main__":
    try:
        image, hosts, limits = json.loads(sys.argv[3])
        trio.run(main, sys.argv[1], float(sys.argv[2]), image, hosts, limits)
    except LightRunnerError as error:
        sys.exit(str(error))
