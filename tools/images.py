"""Build the images that tests, demo and benchmarks run from Debian packages, without a registry.

The packages are downloaded and unpacked, not installed, so this needs no root and changes nothing on the machine.
With an empty list of installed packages, apt-get downloads all dependencies, libc included. The daemon's import
endpoint gets the root file system as one tar, which is cached on disk by the versions of its packages.
"""

import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from compileall import compile_dir
from pathlib import Path

from tools.raw_engine import RawEngine

BUSYBOX = "lightrunner-test/busybox:1"
PYTHON = "lightrunner-demo/python:3.11"

BUSYBOX_PACKAGES = ("busybox-static",)
PYTHON_PACKAGES = ("busybox-static", "python3-minimal", "libpython3.11-stdlib")

ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n"
GROUPS = "root:x:0:\napp:x:1000:\n"
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian")

PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ImageRecipeError(Exception):
    """An image cannot be built on this machine; the message says what to do."""


def ensure_busybox(raw: RawEngine, *, tag: str = BUSYBOX, changes: Sequence[str] = ()) -> str:
    """Make sure of an image with busybox and its applets: 2 MB. `changes` make variants: "USER app"."""
    return _ensure(raw, tag, BUSYBOX_PACKAGES, (PATH, 'CMD ["sh"]', *changes))


def ensure_python(raw: RawEngine, *, tag: str = PYTHON, changes: Sequence[str] = ()) -> str:
    """Make sure of an image with Python, its standard library and busybox for everything else."""
    return _ensure(raw, tag, PYTHON_PACKAGES, (PATH, 'CMD ["python"]', *changes))


def _ensure(raw: RawEngine, tag: str, packages: Sequence[str], changes: Sequence[str]) -> str:
    if not raw.has_image(tag):
        raw.import_image(tag, rootfs(packages), changes)
    return tag


def rootfs(packages: Sequence[str]) -> Path:
    """Return the tar of a root file system with `packages` and what they need, cached or built now."""
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise ImageRecipeError(f"the images are built from Debian packages and this machine has no {tool}")
    try:
        return _cached(packages)
    except ImageRecipeError:
        # A fresh machine has no package lists, and old lists name packages that are no longer there.
        _run("apt-get", "-q", "update")
        return _cached(packages)


def _cached(packages: Sequence[str]) -> Path:
    cached = cache_folder() / f"{packages[-1]}-{_key(packages)}.tar"
    if cached.exists():
        return cached
    # It takes seconds, so it is said.
    print(f"dev: building a root file system with {', '.join(packages)}", file=sys.stderr)  # noqa: T201
    with tempfile.TemporaryDirectory(dir=cached.parent) as scratch:
        root = Path(scratch) / "root"
        for package in _download(packages, Path(scratch)):
            _run("dpkg", "-x", str(package), str(root))
        _finish(root)
        unfinished = Path(scratch) / "tar"
        _pack(root, unfinished)
        unfinished.rename(cached)  # whole or not at all, whoever else is building
    return cached


def cache_folder() -> Path:
    """The folder for what is downloaded once."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "lightrunner-dev"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _key(packages: Sequence[str]) -> str:
    """Digest all that decides what is in the tar: recipe, packages, their versions, the architecture."""
    policy = _run("apt-cache", "show", "--no-all-versions", *packages)
    recipe = Path(__file__).read_text()
    byte_code = sys.implementation.cache_tag
    return hashlib.sha256(f"{recipe}{policy}{byte_code}".encode()).hexdigest()[:16]


def _download(packages: Sequence[str], scratch: Path) -> list[Path]:
    """Download the packages and everything that they depend on, as if nothing were installed here."""
    archives = scratch / "archives"
    (archives / "partial").mkdir(parents=True)
    status = scratch / "status"
    status.touch()
    options = {
        "Dir::State::status": status,
        "Dir::Cache::archives": archives,
        "APT::Sandbox::User": "",  # apt's own user cannot enter the scratch folder
        "Debug::NoLocking": "1",  # nothing of the system is changed
    }
    flags = [f"-o{name}={value}" for name, value in options.items()]
    _run("apt-get", "-qq", "-y", "--no-install-recommends", "--download-only", *flags, "install", *packages)
    return sorted(archives.glob("*.deb"))


def _finish(root: Path) -> None:
    """Do by hand what the packages' scripts would have done: links, accounts, byte code."""
    for unused in UNUSED:
        shutil.rmtree(root / unused, ignore_errors=True)
    for folder in ("bin", "etc", "root", "home/app", "proc", "sys", "dev"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text(ACCOUNTS)
    (root / "etc/group").write_text(GROUPS)
    for applet in _run(str(root / "bin/busybox"), "--list").split():
        # It lists itself; and what a package brings is better than the applet.
        if not any((root / folder / applet).exists() for folder in ("bin", "sbin", "usr/bin", "usr/sbin")):
            (root / "bin" / applet).symlink_to("busybox")
    if (root / "usr/bin/python3").is_symlink():
        (root / "usr/bin/python").symlink_to("python3")
        _compile(root)


def _compile(root: Path) -> None:
    """Write the byte code: without it every run in a fresh container compiles what it imports again."""
    library = root / "usr/lib/python3.11"
    if sys.version_info[:2] == (3, 11):  # another version's byte code would only lie there
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compile_dir(library, quiet=2, stripdir=root, invalidation_mode=mode)


def _pack(root: Path, target: Path) -> None:
    def owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
        owner = 1000 if member.name.startswith("home/app") else 0
        member.uid = member.gid = owner
        member.mode |= 0o555 if member.isdir() else 0o444  # whatever the umask was
        member.uname = member.gname = ""
        return member

    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for entry in sorted(root.iterdir()):
            tar.add(entry, arcname=entry.name, filter=owned_by_root)


def _run(*command: str) -> str:
    """Run a command and return its output; what it says on stderr is shown only if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageRecipeError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr.strip()}")
    return done.stdout
