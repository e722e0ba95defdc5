"""The fake daemon's archive operations: a container's files as tar archives."""

import tarfile
from typing import Final

from .container_operations import Operation, container_of
from .containers import FakeContainer
from .daemon import Daemon, Refusal
from .http import Answer, Request, chunked, path_stat, plain


async def _archive_info(daemon: Daemon, request: Request) -> Answer:
    container, path = container_of(daemon, request), request.query["path"]
    return plain(headers=path_stat(**_stat(container, path)))


async def _archive(daemon: Daemon, request: Request) -> Answer:
    container, path = container_of(daemon, request), request.query["path"]
    stat = _stat(container, path)
    return chunked(container.files.tar(_absolute(path)), headers=path_stat(**stat))


def _stat(container: FakeContainer, path: str) -> dict[str, object]:
    try:
        return container.files.stat(_absolute(path))
    except FileNotFoundError:
        raise Refusal(404, f"Could not find the file {path} in container {container.name}") from None


def _absolute(path: str) -> str:
    return f"/{path.lstrip('/')}"


async def _put_archive(daemon: Daemon, request: Request) -> Answer:
    container, path = container_of(daemon, request), request.query["path"]
    try:
        container.files.untar(_absolute(path), request.body)
    except FileNotFoundError:
        raise Refusal(404, f"Could not find the file {path} in container {container.name}") from None
    except (IsADirectoryError, tarfile.TarError) as error:
        raise Refusal(400 if isinstance(error, IsADirectoryError) else 500, str(error)) from None
    return plain()


ARCHIVE_OPERATIONS: Final[dict[str, Operation]] = {
    "container_archive_info": _archive_info,
    "container_archive": _archive,
    "put_container_archive": _put_archive,
}
