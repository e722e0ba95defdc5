"""Read the Docker CLI's contexts: named daemons, in files under ~/.docker.

config.json                             the name of the current context
contexts/meta/<sha256>/meta.json        the daemon of a context; the folder's name is the digest of the context's name
contexts/tls/<sha256>/docker/*.pem      the certificates of a context
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from .endpoint import Endpoint, TlsFiles, parse_endpoint, tls_files
from .errors import EngineEndpointError

_DEFAULT = "default"

T = TypeVar("T")


class _Config(msgspec.Struct, rename="camel"):
    current_context: str = ""


class _DockerEndpoint(msgspec.Struct):
    host: str = msgspec.field(name="Host", default="")
    skip_verify: bool = msgspec.field(name="SkipTLSVerify", default=False)


class _Meta(msgspec.Struct, rename="pascal"):
    endpoints: dict[str, _DockerEndpoint] = {}


def config_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the Docker CLI's files: ``DOCKER_CONFIG`` or ``~/.docker``."""
    return Path(environ.get("DOCKER_CONFIG") or f"{environ.get('HOME', '')}/.docker")


def current_context(environ: Mapping[str, str]) -> Endpoint | None:
    """Return the endpoint of the current context; None for the default context, which has no file.

    ``DOCKER_CONTEXT`` names the current context. If it is not set, ``config.json`` does, in the folder
    ``DOCKER_CONFIG`` or ``~/.docker``.

    Raises:
        EngineEndpointError: the context does not exist, its files cannot be read, or its daemon's URL is invalid.
    """
    folder = config_folder(environ)
    name = environ.get("DOCKER_CONTEXT") or read_cli_file(folder / "config.json", _Config, _Config()).current_context
    if name in ("", _DEFAULT):
        return None
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    meta = read_cli_file(folder / "contexts" / "meta" / digest / "meta.json", _Meta, None)
    if meta is None:
        raise EngineEndpointError(f"Docker context {name!r} does not exist: `docker context ls` lists the contexts")
    docker = meta.endpoints.get("docker", _DockerEndpoint())
    try:
        return parse_endpoint(docker.host, _tls(folder / "contexts" / "tls" / digest / "docker", docker))
    except EngineEndpointError as error:
        raise EngineEndpointError(f"Docker context {name!r}: {error}") from error


def _tls(folder: Path, docker: _DockerEndpoint) -> TlsFiles | None:
    """Return the context's TLS files; None without TLS. A context uses TLS if it has a certificate or skips checks."""
    files = tls_files(str(folder), os.path.exists, verify=not docker.skip_verify)
    return files if docker.skip_verify or files.ca or files.certificate else None


def read_cli_file(path: Path, kind: type[T], missing: T) -> T:
    """Return what a JSON file of the Docker CLI holds, or `missing` if there is no such file.

    Raises:
        EngineEndpointError: it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return missing
    except OSError as error:
        raise EngineEndpointError(f"{path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EngineEndpointError(f"{path} is not in the Docker CLI's format: {error}") from error
