"""A fake Docker daemon in memory, for the tests of programs that use lightrunner.

engine.py      FakeEngine: start reading here
containers.py  FakeContainer, the argument of a program
files.py       FileSystem: a container's files
faults.py      scripted faults
http.py        requests, and the functions that make answers
daemon.py      the daemon's state
container_operations.py    operations on containers
archive_operations.py      on their files
image_operations.py        on images: pulls, imports, builds
other_operations.py        on volumes, networks and the daemon itself
pipes.py       connections in memory
clock.py       makes MockClock wait for worker threads
gate.py        reads a warm pool's dispatch to a waiting container
secrets.py     what takes a run's secrets
"""

from .containers import FakeContainer as FakeContainer
from .containers import Program as Program
from .engine import FakeEngine as FakeEngine
from .faults import delay as delay
from .faults import error_in_stream as error_in_stream
from .faults import half_a_frame as half_a_frame
from .faults import hang as hang
from .faults import html_page as html_page
from .faults import in_turn as in_turn
from .faults import lose_answer as lose_answer
from .faults import lose_connection as lose_connection
from .faults import refuse as refuse
from .files import FileSystem as FileSystem
from .http import OPERATIONS as OPERATIONS
from .http import Answer as Answer
from .http import Request as Request
from .http import archive as archive
from .http import attached as attached
from .http import chunked as chunked
from .http import frame as frame
from .http import json_answer as json_answer
from .http import plain as plain
from .http import proceed as proceed
from .http import raw as raw
