"""Download and unpack Debian packages of any release, without installing them."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class PackageDownloadError(Exception):
    """A package cannot be downloaded; the message says why."""


def unpack(suite: str, packages: Sequence[str], into: Path, *, with_dependencies: bool = False) -> None:
    """Unpack packages of the Debian release `suite` into a folder.

    `with_dependencies` brings in all that they need, libc included, but for what Debian takes for granted (a shell,
    coreutils). The folder then is a root file system that knows nothing of the machine's own libraries.

    Raises:
        PackageDownloadError: apt-get or dpkg failed.
    """
    with tempfile.TemporaryDirectory(dir=into.parent) as name:
        scratch = Path(name)
        for folder in ("lists/partial", "archives/partial", "sources"):
            (scratch / folder).mkdir(parents=True)
        (scratch / "status").touch()
        (scratch / "sources" / "suite.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {suite} main\n")
        options = {
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": scratch / "sources",
            "Dir::State::Lists": scratch / "lists",
            "Dir::State::status": scratch / "status",  # as if nothing were installed
            "Dir::Cache": scratch,
            "Dir::Cache::archives": scratch / "archives",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "APT::Sandbox::User": "",  # apt's own user cannot enter the scratch folder
            "Debug::NoLocking": "1",  # nothing of the system is changed
        }
        apt_get = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
        run(*apt_get, "update")
        if with_dependencies:
            run(*apt_get, "-y", "--no-install-recommends", "--download-only", "install", *packages)
        else:
            run(*apt_get, "download", *packages, cwd=scratch / "archives")
        # Packages say bin/sh where a root file system has usr/bin/sh: dpkg follows these links.
        for folder in ("bin", "sbin", "lib", "lib64"):
            (into / "usr" / folder).mkdir(parents=True, exist_ok=True)
            if not (into / folder).is_symlink():
                (into / folder).symlink_to(f"usr/{folder}")
        for package in sorted((scratch / "archives").glob("*.deb")):
            run("dpkg", "-x", str(package), str(into))


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a program and return its output.

    Raises:
        PackageDownloadError: it failed, or is not there.
    """
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PackageDownloadError(f"this machine has no {command[0]}") from None
    if done.returncode:
        raise PackageDownloadError(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _mirror() -> str:
    """Where this system gets Debian's packages from."""
    targets = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(SUITE) $(REPO_URI)", "Created-By: Packages")
    for line in targets.splitlines():
        origin, _, rest = line.partition(" ")
        suite, _, uri = rest.partition(" ")
        if origin == "Debian" and not suite.endswith(("-security", "-updates")):
            return uri
    raise PackageDownloadError("apt-get knows no Debian mirror: run apt-get update")
