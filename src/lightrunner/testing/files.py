"""A small file system in memory, as a container has one, and tar archives of it.

Paths are absolute, as in the container. Links are followed in the middle of a path, and at its end where that is said.
"""

import io
import posixpath
import tarfile
import time
from collections.abc import Iterator
from typing import NamedTuple

_MAX_LINKS = 40  # Linux's MAXSYMLINKS.
_GO_DIR, _GO_SYMLINK = 1 << 31, 1 << 27  # Go's os.FileMode, which a path's stat has.


class File(NamedTuple):
    """A file, and its permission bits."""

    data: bytes
    mode: int = 0o644


class Folder(NamedTuple):
    """A folder."""

    mode: int = 0o755


class Link(NamedTuple):
    """A symbolic link, with its target as it is written."""

    target: str


class HardLink(NamedTuple):
    """A second name of a file; only archives tell it from the first."""

    target: str


Node = File | Folder | Link | HardLink


class FileSystem:
    """The files of one container. `write`, `read` and their like take paths relative to `base`, too."""

    def __init__(self, nodes: dict[str, Node] | None = None, *, base: str = "/") -> None:
        self._nodes: dict[str, Node] = nodes if nodes is not None else {"/": Folder(), "/tmp": Folder(0o1777)}  # noqa: S108  # the container's
        self.base = base

    def copy(self, *, base: str = "/") -> "FileSystem":
        """Return an independent copy."""
        return FileSystem(dict(self._nodes), base=base)

    def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write a file, and make the folders that it needs."""
        self._put(self._resolved(path), File(data, mode))

    def read(self, path: str) -> bytes:
        """Read a file.

        Raises:
            FileNotFoundError: nothing is there.
            IsADirectoryError: it is a folder.
        """
        node = self.node(path, follow=True)
        if node is None:
            raise FileNotFoundError(path)
        if not isinstance(node, File):
            raise IsADirectoryError(path)
        return node.data

    def mkdir(self, path: str, *, mode: int = 0o755) -> None:
        """Make a folder, and those above it."""
        self._put(self._resolved(path), Folder(mode))

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link at `path`, whatever its target is."""
        self._put(self._resolved(path, follow=False), Link(target))

    def link(self, target: str, path: str) -> None:
        """Make a hard link at `path`."""
        self._put(self._resolved(path, follow=False), HardLink(self._resolved(target)))

    def remove(self, path: str) -> None:
        """Remove a file, a link, or a folder with all that is in it."""
        gone = self._resolved(path, follow=False)
        for name in [name for name in self._nodes if name == gone or name.startswith(f"{gone}/")]:
            del self._nodes[name]

    def exists(self, path: str) -> bool:
        """Return whether something is there."""
        return self.node(path, follow=True) is not None

    def names(self, path: str = ".") -> list[str]:
        """Return the names in a folder, sorted."""
        folder = self._resolved(path)
        return sorted(posixpath.basename(name) for name in self._nodes if _parent(name) == folder and name != "/")

    def node(self, path: str, *, follow: bool = False) -> Node | None:
        """Return what is at a path; None: nothing."""
        try:
            node = self._nodes.get(self._resolved(path, follow=follow))
        except (NotADirectoryError, OSError):
            return None
        return self._nodes.get(node.target) if isinstance(node, HardLink) else node

    def stat(self, path: str) -> dict[str, object]:
        """Return what the header of an archive's answer says of a path.

        Raises:
            FileNotFoundError: nothing is there.
        """
        node = self.node(path)
        if node is None:
            raise FileNotFoundError(path)
        mode, size, target = 0o777, 0, ""
        if isinstance(node, File):
            mode, size = node.mode, len(node.data)
        elif isinstance(node, Folder):
            mode = _GO_DIR | (node.mode & 0o777)
        else:
            mode, target = _GO_SYMLINK | 0o777, self._resolved(path)
        name = posixpath.basename(self._absolute(path)) or "/"
        return {"name": name, "size": size, "mode": mode, "mtime": "2026-01-01T00:00:00Z", "linkTarget": target}

    def tar(self, path: str) -> bytes:
        """Return a path as the daemon's archive of it: a folder with what is in it, or one file.

        Raises:
            FileNotFoundError: nothing is there.
        """
        if self.node(path) is None:
            raise FileNotFoundError(path)
        root = self._resolved(path, follow=False)
        top = posixpath.basename(root)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, node in self._below(root):
                inside = posixpath.normpath(f"{top}/{name[len(root) :]}") if top else name.lstrip("/") or "."
                _add(tar, inside, node, self._inside(node, root, top))
        return archive.getvalue()

    def untar(self, path: str, data: bytes) -> None:
        """Unpack an archive into a folder.

        Raises:
            FileNotFoundError: there is no such folder.
            IsADirectoryError: a file of the archive would take a folder's place, or a folder a file's.
        """
        if not isinstance(self.node(path, follow=True), Folder):
            raise FileNotFoundError(path)
        folder = self._resolved(path)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                target = "/" + posixpath.normpath(f"{folder}/{member.name}").lstrip("/")
                present = self._nodes.get(target)
                if present is not None and isinstance(present, Folder) != member.isdir():
                    word = "directory" if member.isdir() else "non-directory"
                    raise IsADirectoryError(f"cannot overwrite {target} with a {word}")
                content = tar.extractfile(member) if member.isreg() else None
                if member.isdir():
                    self._put(target, Folder(member.mode))
                elif member.issym():
                    self._put(target, Link(member.linkname))
                elif content is not None:
                    self._put(target, File(content.read(), member.mode))

    def _below(self, root: str) -> Iterator[tuple[str, Node]]:
        inside = root.rstrip("/") + "/"
        for name in sorted(self._nodes):
            if name == root or name.startswith(inside):
                yield name, self._nodes[name]

    def _inside(self, node: Node, root: str, top: str) -> str:
        """The name, in the archive of `root`, of a hard link's first name."""
        return posixpath.normpath(f"{top}/{node.target[len(root) :]}") if isinstance(node, HardLink) else ""

    def _put(self, path: str, node: Node) -> None:
        parent = path
        while (parent := _parent(parent)) not in self._nodes:
            self._nodes[parent] = Folder()
        self._nodes[path] = node

    def _absolute(self, path: str) -> str:
        return "/" + posixpath.normpath(posixpath.join(self.base, path)).lstrip("/")

    def _resolved(self, path: str, *, follow: bool = True) -> str:
        """The path with its links followed; the last one with `follow` only."""
        waiting = self._absolute(path).split("/")[::-1]
        at, links = "/", 0
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                at = _parent(at)
                continue
            if not isinstance(self._nodes.get(at, Folder()), Folder):
                raise NotADirectoryError(at)
            step = posixpath.join(at, part)
            node = self._nodes.get(step)
            if isinstance(node, Link) and (waiting or follow):
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(f"too many links: {path}")
                at = "/" if node.target.startswith("/") else at
                waiting += node.target.split("/")[::-1]
            else:
                at = step
        return at


def _parent(path: str) -> str:
    return posixpath.dirname(path) or "/"


def _add(tar: tarfile.TarFile, name: str, node: Node, target: str) -> None:
    member = tarfile.TarInfo(name)
    member.mtime = int(time.time())
    content = b""
    if isinstance(node, File):
        member.mode, content = node.mode, node.data
        member.size = len(content)
    elif isinstance(node, Folder):
        member.type, member.mode = tarfile.DIRTYPE, node.mode
    elif isinstance(node, Link):
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, node.target, 0o777
    else:
        member.type, member.linkname = tarfile.LNKTYPE, target
    tar.addfile(member, io.BytesIO(content))
