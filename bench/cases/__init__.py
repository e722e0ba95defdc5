"""What is measured. Each case is made on a stage, and tidies up behind itself.

spawn.py       what a run costs where nothing happens in it     transfers.py   folders in, files out
logs.py        output to a callback                             processes.py   memory and imports
decoding.py    frames, without an engine
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from bench.sampling import Case
from bench.stage import Stage

from .decoding import frames
from .logs import logs
from .processes import imports, memory
from .spawn import noop, parallel, project
from .transfers import big_file, small_files

CaseMaker = Callable[[Stage], AbstractAsyncContextManager[Case]]

CASES: dict[str, CaseMaker] = {
    "noop-none": partial(noop, network="none"),
    "noop-isolated": partial(noop, network=None),
    "project": project,
    "parallel": parallel,
    "transfer-200": partial(big_file, megabytes=200),
    "transfer-400": partial(big_file, megabytes=400),
    "small-files-disk": partial(small_files, place="disk"),
    "small-files-tmpfs": partial(small_files, place="tmpfs"),
    "logs-16": partial(logs, line_bytes=16),
    "logs-70": partial(logs, line_bytes=70),
    "logs-1000": partial(logs, line_bytes=1000),
    "frames": frames,
    "imports": imports,
    "memory": memory,
}
