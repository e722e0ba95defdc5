"""What a cold run costs on each runtime of one daemon: runc, crun, gVisor."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from bench.job import no_op
from bench.sampling import Case
from bench.stage import Stage
from lightrunner import DockerRunner
from tools.engines import all_runtimes
from tools.images import ensure_busybox
from tools.private_engine import PrivateEngine
from tools.raw_engine import RawEngine

from .spawn import ours

RUNTIMES = ("runc", "crun", "runsc")


@asynccontextmanager
async def runtimes(stage: Stage) -> AsyncGenerator[Case]:
    """``true`` without a network, on an engine of the case's own that has all three."""
    with PrivateEngine(setup=all_runtimes()) as engine:
        job = no_op(ensure_busybox(RawEngine(engine.host)), "none")
        async with AsyncExitStack() as stack:
            contenders = {
                name: ours(
                    await stack.enter_async_context(DockerRunner(host=engine.host, runtime=name)),
                    job.request,
                )
                for name in RUNTIMES
            }
            yield Case(
                name="runtimes",
                title="A run that does nothing, network none, by runtime",
                contenders=contenders,
                rounds=stage.rounds(30, 5),
            )
