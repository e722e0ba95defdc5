"""A client of the Docker Engine API, usable without the runner above it.

wire/          request and response structs (pure)
errors.py      the engine's exceptions (pure)
endpoint.py    the daemon's address: parse a URL, or choose one from the environment (pure)
contexts.py    the Docker CLI's contexts
registries.py  which registry an image comes from, and how to log in there (pure)
credentials.py the Docker CLI's credentials for registries
tls.py         the TLS context for a TCP address
ssh.py         a Unix socket forwarded over ssh
frames.py      decode multiplexed output (pure)
connection.py  what a connection is that the caller opens (pure)
progress.py    decode the progress of a pull, an import or a build (pure)
tracing.py     the header that carries a trace on
transport.py   requests, responses and upgrades; the one module that imports httpx
backend.py     httpcore over the caller's connections
upgraded.py    the raw connection behind a 101
upload.py      send an iterator's chunks, made ahead in a thread
drain.py       receive a body while a thread consumes it
download.py    receive an archive from a plain socket, in the thread that writes it
threads.py     the limiter for the threads that move archives
streams.py     a container's output and stdin
calls.py       make a call: API version, status, progress
containers.py  the operations on containers, one short method each
images.py      the operations on images
swarm.py       the operations on swarms, nodes, services and tasks
client.py      EngineClient: all of these, and system, volumes and networks
"""

from . import wire as wire
from .client import EngineClient as EngineClient
from .connection import Connect as Connect
from .connection import Connection as Connection
from .containers import ArchiveStream as ArchiveStream
from .containers import PendingExit as PendingExit
from .credentials import find_credentials as find_credentials
from .endpoint import Endpoint as Endpoint
from .endpoint import find_endpoint as find_endpoint
from .errors import EngineConflict as EngineConflict
from .errors import EngineCredentialsError as EngineCredentialsError
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
from .registries import RegistryAuth as RegistryAuth
from .registries import registry_of as registry_of
from .streams import AttachedStream as AttachedStream
from .streams import OutputStream as OutputStream
