"""Run one piece of untrusted code in one disposable container, on trio.

runner.py      DockerRunner                   sync.py        run_sync, map_sync
requests.py    the caller's values            results.py     the results         errors.py  LightRunnerError
plan.py        checks a request (pure)        keywords.py    the options as keywords
runs/          one run, from its checked request to its removal: start reading here
files/         host folder -> container, container -> host folder
images/        pull images, build setup steps into cache images
init/          the static program that runs as process 1 in containers, and its installation on a daemon
networks/      the isolated bridge, prepared network namespaces
sandbox/       containers for more than one command
swarm/         SwarmRunner: the same runs on the nodes of a Docker Swarm
warm/          started containers, each waiting for one run
detached/      runs that outlive their process, state files, orphans
admission.py   the runs of a runner's block, and how many at once
pool.py        a pool of single-use items, for networks/ and warm/
resources.py   create and remove on the daemon
telemetry.py   log records, spans, counters
nurseries.py   child tasks, their exceptions, Ctrl-C
cli/           the command `lightrunner`
serve/         runs over HTTP: `lightrunner serve`
mcp/           tools for agents: `lightrunner mcp`
doctor/        check a daemon and this host, and say what to do; public as `lightrunner.doctor`
host/          this host: processes and the state folder
rules/         pure: limits, validation, tar policy, log lines
testing/       a fake daemon in memory, for the tests of programs that use this; public as `lightrunner.testing`
asyncio/       the same for asyncio programs; trio runs in trio_thread.py
engine/        the client of the Docker Engine API; public as `lightrunner.engine`, usable alone
"""

from .detached.state import RunState as RunState
from .detached.state import list_states as list_states
from .detached.state import read_state as read_state
from .engine import RegistryAuth as RegistryAuth
from .errors import LightRunnerError as LightRunnerError
from .errors import LightRunnerErrorCode as LightRunnerErrorCode
from .errors import LightRunnerWarning as LightRunnerWarning
from .requests import ExtractSpec as ExtractSpec
from .requests import RunnerOptions as RunnerOptions
from .requests import RunRequest as RunRequest
from .results import CacheCleanup as CacheCleanup
from .results import CacheImage as CacheImage
from .results import CpuTime as CpuTime
from .results import ExtractResult as ExtractResult
from .results import LogLine as LogLine
from .results import OutputChunk as OutputChunk
from .results import Progress as Progress
from .results import ReapResult as ReapResult
from .results import RunLimits as RunLimits
from .results import RunResult as RunResult
from .results import Timings as Timings
from .results import Usage as Usage
from .rules.verdict import Outcome as Outcome
from .runner import DockerRunner as DockerRunner
from .runs.handle import Execution as Execution
from .runs.mapping import MapItem as MapItem
from .runs.mapping import MapProgress as MapProgress
from .runs.mapping import MapResults as MapResults
from .sandbox.box import Sandbox as Sandbox
from .sandbox.expose import ExposedPort as ExposedPort
from .sandbox.pool import SandboxPool as SandboxPool
from .sandbox.process import SandboxProcess as SandboxProcess
from .swarm.options import SwarmOptions as SwarmOptions
from .swarm.pool import SwarmPool as SwarmPool
from .swarm.runner import SwarmRunner as SwarmRunner
from .sync import map_sync as map_sync
from .sync import run_sync as run_sync
from .warm.pool import WarmPool as WarmPool
