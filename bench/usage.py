"""How exact `RunResult.usage` is: beside what the same program's own ``getrusage`` says, in many runs.

    python -m bench.usage [runs]

The program forks a worker that computes, allocates, and hides a child of its own from ``getrusage`` by ignoring
SIGCHLD. It waits for the worker, whose end takes CPU time as well, and reports as its last act. The exit code is 1 if a
figure is further away than 5 ms + 2 % (CPU) or 1 MiB + 2 % (memory).
"""

import json
import random
import sys

import trio

from lightrunner import DockerRunner, RunRequest
from tools.images import ensure_python
from tools.private_engine import PrivateEngine
from tools.raw_engine import RawEngine

PROGRAM = """
import json, os, resource, signal, sys, time
seconds, megabytes, hidden = json.load(sys.stdin)

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def hide():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ours, its = os.pipe()
    if not os.fork():
        burn(seconds)
        os.write(its, json.dumps(resource.getrusage(resource.RUSAGE_SELF)[:2]).encode())
        os._exit(0)
    os.close(its)
    with open(ours, "rb") as told:
        return sum(json.loads(told.read()))

ours, its = os.pipe()
if not os.fork():
    escaped = hide() if hidden else 0.0
    data = bytearray(megabytes << 20)
    burn(seconds)
    os.write(its, json.dumps(escaped).encode())
    os._exit(0)
os.close(its)
with open(ours, "rb") as told:
    escaped = json.loads(told.read())
os.wait()
parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu, largest = sum(p.ru_utime + p.ru_stime for p in parts), max(p.ru_maxrss for p in parts)
os.write(1, json.dumps([cpu, escaped, largest * 1024]).encode())
os._exit(0)
"""

CPU_SLACK, MEMORY_SLACK, SHARE = 0.005, 1 << 20, 0.02


async def measure(host: str, image: str, runs: int) -> int:
    """Return how many figures were too far away."""
    worst_cpu = worst_memory = 0.0
    wrong = 0
    chance = random.Random(1)  # noqa: S311 - no secrets
    async with DockerRunner(host=host, usage=True) as runner:
        for number in range(runs):
            job = [chance.choice([0.0, 0.01, 0.1, 0.4]), chance.choice([0, 5, 50, 200]), number % 4 == 0]
            request = RunRequest(
                image=image, entrypoint=f"exec python -c '{PROGRAM}'", input=job, network="none", capture_output=True
            )
            result = (await runner.run(request)).check()
            usage = result.usage
            assert usage is not None
            assert usage.cpu_time is not None
            assert usage.peak_memory is not None
            cpu, escaped, largest = json.loads(result.stdout or b"")
            cpu_error = abs(usage.cpu_time.total - cpu - escaped) / (CPU_SLACK + SHARE * (cpu + escaped))
            memory_error = abs(usage.peak_memory - largest) / (MEMORY_SLACK + SHARE * largest)
            worst_cpu, worst_memory = max(worst_cpu, cpu_error), max(worst_memory, memory_error)
            if cpu_error > 1 or memory_error > 1:
                wrong += 1
                print(f"{job}: {usage}, the program says {cpu:.4f} + {escaped:.4f} s, {largest} bytes")
    print(f"{runs} runs; of what is allowed, the worst used {worst_cpu:.0%} (CPU) and {worst_memory:.0%} (memory)")
    return wrong


def main() -> None:
    """Measure on a private engine."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with PrivateEngine() as engine:
        image = ensure_python(RawEngine(engine.host))
        sys.exit(trio.run(measure, engine.host, image, runs) > 0)


if __name__ == "__main__":
    main()
