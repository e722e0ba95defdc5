"""A client of the Docker Engine API, usable without the runner above it.

wire/          request and response structs (pure)
errors.py      the engine's family of errors (pure)
endpoint.py    host, the environment and the usual sockets -> where the daemon is (pure)
contexts.py    the Docker CLI's contexts
tls.py         certificates for a TCP address
ssh.py         a socket forwarded over ssh
frames.py      multiplexed output, incrementally (pure)
progress.py    pull, import and build streams, incrementally (pure)
transport.py   requests, responses, upgrades: the one module that imports httpx
upload.py      a body from an iterator, made ahead in a thread
drain.py       a body, received while a thread consumes it
download.py    an archive, read from a plain socket in the thread that writes it
threads.py     how many threads move archives at a time
streams.py     a container's output and stdin
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
from .progress import ErrorDetail as ErrorDetail
from .progress import ProgressDecoder as ProgressDecoder
from .progress import ProgressDetail as ProgressDetail
from .progress import ProgressMessage as ProgressMessage
from .streams import AttachedStream as AttachedStream
from .streams import OutputStream as OutputStream
