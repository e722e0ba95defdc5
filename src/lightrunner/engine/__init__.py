"""A client of the Docker Engine API, usable without the runner above it.

wire.py        request and response structs (pure)
errors.py      the engine's family of errors (pure)
endpoint.py    host, DOCKER_HOST and the usual sockets -> where the daemon is (pure)
frames.py      multiplexed output, incrementally (pure)
progress.py    pull, import and build streams, incrementally (pure)
answers.py     an HTTP answer, incrementally (pure)
connection.py  a connection, a request's head on it, an answer from it
roundtrip.py   short calls, on connections that are kept
exchange.py    calls with much data, in threads
transport.py   answers that last or flow: the one module that knows httpx
hijack.py      an attached container: the upgrade, output out, stdin in, half-close
calls.py       how a call is made: version, status, progress
containers.py  the containers' operations, one short method each
images.py      the images' operations
client.py      EngineClient: these, and system, volumes, networks
"""

from . import wire as wire
from .client import EngineClient as EngineClient
from .containers import ArchiveStream as ArchiveStream
from .containers import PendingExit as PendingExit
from .endpoint import Endpoint as Endpoint
from .endpoint import find_endpoint as find_endpoint
from .errors import EngineConflict as EngineConflict
from .errors import EngineEndpointError as EngineEndpointError
from .errors import EngineError as EngineError
from .errors import EngineNotFound as EngineNotFound
from .errors import EngineProtocolError as EngineProtocolError
from .errors import EngineResponseError as EngineResponseError
from .errors import EngineUnreachable as EngineUnreachable
from .frames import FrameDecoder as FrameDecoder
from .frames import OutputPiece as OutputPiece
from .hijack import AttachedStream as AttachedStream
from .hijack import OutputStream as OutputStream
from .progress import ErrorDetail as ErrorDetail
from .progress import ProgressDecoder as ProgressDecoder
from .progress import ProgressDetail as ProgressDetail
from .progress import ProgressMessage as ProgressMessage
