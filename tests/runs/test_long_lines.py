"""A line of 100 MB arrives completely, and memory does not grow with its length."""

import json
import sys

import trio

PEAK_KIB = 80 * 1024
"""What the process may take in the whole, interpreter and libraries included."""

# A process of its own: the peak of this one is that of all tests before. VmHWM and not ru_maxrss, in which a child
# begins with its parent's peak.
PROGRAM = """
import json, sys
from pathlib import Path
from lightrunner import LogLine, RunRequest, run_sync

characters = pieces = last = longest = 0
def count(line: LogLine) -> None:
    global characters, pieces, last, longest
    characters += len(line.text)
    longest = max(longest, len(line.text))
    pieces += line.partial
    last += not line.partial

host, image = sys.argv[1:]
script = "head -c 100000000 /dev/zero | tr '\\\\0' x"
result = run_sync(RunRequest(image=image, entrypoint=script, network="none"), on_log=count, host=host)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([result.exit_code, characters, longest, pieces, last, int(peak.split()[1])]))
"""


async def test_a_line_of_100_mb(engine_host: str, busybox: str) -> None:
    command = [sys.executable, "-c", PROGRAM, engine_host, busybox]
    done = await trio.run_process(command, capture_stdout=True)
    exit_code, characters, longest, pieces, last, peak_kib = json.loads(done.stdout)
    assert (exit_code, characters, last) == (0, 100_000_000, 1)
    assert longest <= 64 * 1024
    assert pieces > 1000
    assert peak_kib < PEAK_KIB
