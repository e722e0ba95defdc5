"""lightrunner for asyncio programs: the same names, the same guarantee.

runner.py      DockerRunner                   swarm.py       SwarmRunner
block.py       what both runners share        pool.py        WarmPool, SwarmPool
handle.py      Execution: a started run       mapping.py     MapResults
sandbox.py     Sandbox, SandboxPool           process.py     SandboxProcess and its streams
bridge.py      calls from asyncio into the trio thread
callbacks.py   calls from the trio thread into asyncio: log lines, progress

A runner runs the trio one in a thread of its own. There is no second implementation: each method here calls the
method of that name there.

Cancellation: ``task.cancel()``, `asyncio.timeout`, `asyncio.wait_for`, a failing `asyncio.TaskGroup`, anyio's cancel
scopes and a closing event loop abort a call as a trio cancel scope does. The awaiting task sees `CancelledError` only
when the run's container and volume have been removed. A second cancellation does not cut that short; it is bounded by
itself.

Why a thread: trio's guest mode, which runs trio on the asyncio loop, was measured beside it (docs/embedding.md has the
figures; dockerd 20.10, two busy cores). A guest hops between threads for each wait for a socket, a thread of its own
for each call: a ping takes 1.4 to 3.3 ms against 1.05 to 1.3, and 40 runs take 0.50 s of CPU time against 0.45 (trio
itself: 1.05 ms, 0.42 s). And a guest stops with its host: while the program computed for 4 s, a guest's time-out of
0.5 s killed after 4.6 s, the thread's after 0.7. After a Ctrl-C that breaks the asyncio loop a guest cannot clean up;
the thread does, and the interpreter's exit waits for it.
"""

from lightrunner.detached.state import RunState as RunState
from lightrunner.detached.state import list_states as list_states
from lightrunner.detached.state import read_state as read_state
from lightrunner.engine import RegistryAuth as RegistryAuth
from lightrunner.errors import LightRunnerError as LightRunnerError
from lightrunner.errors import LightRunnerErrorCode as LightRunnerErrorCode
from lightrunner.errors import LightRunnerWarning as LightRunnerWarning
from lightrunner.requests import ExtractSpec as ExtractSpec
from lightrunner.requests import RunnerOptions as RunnerOptions
from lightrunner.requests import RunRequest as RunRequest
from lightrunner.results import CacheCleanup as CacheCleanup
from lightrunner.results import CacheImage as CacheImage
from lightrunner.results import CpuTime as CpuTime
from lightrunner.results import ExtractResult as ExtractResult
from lightrunner.results import LogLine as LogLine
from lightrunner.results import OutputChunk as OutputChunk
from lightrunner.results import Progress as Progress
from lightrunner.results import ReapResult as ReapResult
from lightrunner.results import RunLimits as RunLimits
from lightrunner.results import RunResult as RunResult
from lightrunner.results import Timings as Timings
from lightrunner.results import Usage as Usage
from lightrunner.rules.verdict import Outcome as Outcome
from lightrunner.runs.mapping import MapItem as MapItem
from lightrunner.runs.mapping import MapProgress as MapProgress
from lightrunner.sandbox.expose import ExposedPort as ExposedPort
from lightrunner.swarm.options import SwarmOptions as SwarmOptions

from .handle import Execution as Execution
from .mapping import MapResults as MapResults
from .pool import SwarmPool as SwarmPool
from .pool import WarmPool as WarmPool
from .process import ProcessInput as ProcessInput
from .process import ProcessOutput as ProcessOutput
from .process import SandboxProcess as SandboxProcess
from .runner import DockerRunner as DockerRunner
from .sandbox import Sandbox as Sandbox
from .sandbox import SandboxPool as SandboxPool
from .swarm import SwarmRunner as SwarmRunner
