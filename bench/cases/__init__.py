"""The cases. Each case is made on a stage, and cleans up after itself.

spawn.py       cold runs: nothing happens, or little            networks.py    the same on prepared networks
warm.py        runs in warm containers                          throughput.py  many runs at once
transfers.py   folders in, files out                            logs.py        output to a callback
held.py        hundreds of runs that sleep                      processes.py   memory and imports
decoding.py    frames, without an engine                        runtimes.py    runc, crun, gVisor
sandbox.py     commands in sandboxes, and their start           swarm.py       three nodes, and one daemon
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from bench.sampling import Case
from bench.stage import Stage

from .decoding import frames
from .held import held
from .logs import logs, raw_output
from .networks import prepared
from .processes import imports, memory
from .runtimes import runtimes
from .sandbox import execs, sandboxes
from .spawn import noop, project, usage
from .swarm import swarm, swarm_nodes
from .throughput import parallel, scaling
from .transfers import big_file, small_files
from .warm import warm

CaseMaker = Callable[[Stage], AbstractAsyncContextManager[Case]]

CASES: dict[str, CaseMaker] = {
    "noop-none": partial(noop, network="none"),
    "noop-isolated": partial(noop, network=None),
    "project": project,
    "usage": usage,
    "prepared-none": partial(prepared, network="none"),
    "prepared-isolated": partial(prepared, network=None),
    "warm-none": partial(warm, network="none"),
    "warm-isolated": partial(warm, network=None),
    "exec": execs,
    "sandbox": sandboxes,
    "parallel": parallel,
    "scaling": scaling,
    "held": held,
    "transfer-200": partial(big_file, megabytes=200, seed_goal=0.85, extract_goal=0.95),
    "transfer-400": partial(big_file, megabytes=400),
    "small-files-disk": partial(small_files, place="disk"),
    "small-files-tmpfs": partial(small_files, place="tmpfs"),
    "logs-16": partial(logs, line_bytes=16),
    "logs-70": partial(logs, line_bytes=70),
    "logs-1000": partial(logs, line_bytes=1000),
    "output-raw": raw_output,
    "swarm-none": partial(swarm, network="none"),
    "swarm-isolated": partial(swarm, network=None),
    "swarm-nodes": swarm_nodes,
    "runtimes": runtimes,
    "frames": frames,
    "imports": imports,
    "memory": memory,
}
