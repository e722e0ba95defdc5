"""Run one piece of untrusted code in one disposable container, on trio.

rules/         pure: limits, validation, tar policy, log lines
engine/        the client of the Docker Engine API; public as `lightrunner.engine`, usable alone

models.py      RunRequest, RunResult and the other values      errors.py     LightRunnerError
spec.py        request -> what to tell the engine (pure)
images.py      the image: there, or pulled                     networks.py   the isolated network
steps.py       setup steps -> a cached image                   cache.py      cache images that nobody uses, removed
cache_usage.py when each of them was last used                 statedir.py   files that are written whole or not at all
seed.py        host folder -> tar -> container
output.py      attached output -> lines and captures
extract.py     container -> tar -> host                        staging.py    tar -> files, whole or not at all
removal.py     container and volume, gone
launch.py      everything up to the start                      creation.py   a create whose answer is not lost
attendance.py  from the start to the result
lifecycle.py   one run, in order: start reading here
execution.py   the handle of a run under way                   tasks.py      child tasks, bare exceptions, Ctrl-C
warm.py        containers that wait for their run             stock.py      single-use things that are kept ready
holders.py     prepared networks                              leases.py     which network a run gets
detached.py    runs that outlive their process                 finishing.py  how such a run ends
state.py       what is kept of them                           logs.py       the daemon's log of them
owner.py       whose run it is, and whether that process lives reaping.py    orphans
runner.py      DockerRunner: the face                          sync.py       run_sync
"""

from .errors import LightRunnerError as LightRunnerError
from .errors import LightRunnerErrorCode as LightRunnerErrorCode
from .errors import LightRunnerWarning as LightRunnerWarning
from .execution import Execution as Execution
from .models import CacheCleanup as CacheCleanup
from .models import ExtractResult as ExtractResult
from .models import ExtractSpec as ExtractSpec
from .models import LogLine as LogLine
from .models import Progress as Progress
from .models import ReapResult as ReapResult
from .models import RunnerOptions as RunnerOptions
from .models import RunRequest as RunRequest
from .models import RunResult as RunResult
from .models import Timings as Timings
from .runner import DockerRunner as DockerRunner
from .state import RunState as RunState
from .state import list_states as list_states
from .state import read_state as read_state
from .sync import run_sync as run_sync
from .warm import WarmPool as WarmPool
