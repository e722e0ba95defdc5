"""The engine's programs as other Debian releases have them: downloaded and unpacked, not installed.

They run on this release's libc. runc is the installed one, since a newer one wants a newer libc.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.images import cache_folder
from tools.private_engine import search_path

SUITES = {"20.10": "bookworm", "26.1": "trixie", "28.5": "sid"}
"""Engine versions, and the Debian releases that have them."""

_PACKAGES = ("docker.io", "containerd")
_PROGRAMS = ("dockerd", "docker-proxy", "docker", "containerd", "containerd-shim-runc-v2", "ctr")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class EngineDownloadError(Exception):
    """The engine cannot be downloaded; the message says why."""


def engine_programs(version: str) -> Path | None:
    """A folder with the programs of an engine version; None where the installed ones are of that version.

    Raises:
        EngineDownloadError: the release has another version by now, or apt-get failed.
    """
    if _version(shutil.which("dockerd", path=search_path()) or "").startswith(f"{version}."):
        return None
    folder = cache_folder() / f"engine-{version}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
            programs = _download(SUITES[version], Path(scratch))
            found = _version(str(programs / "dockerd"))
            if not found.startswith(f"{version}."):
                raise EngineDownloadError(f"Debian {SUITES[version]} has engine {found}, not {version}")
            programs.rename(folder)
    return folder


def _version(dockerd: str) -> str:
    """What a dockerd says of itself, such as 28.5.2; empty where there is none."""
    if not dockerd:
        return ""
    words = _run(dockerd, "--version").split()
    return words[words.index("version") + 1].rstrip(",")


def _download(suite: str, scratch: Path) -> Path:
    for folder in ("lists/partial", "cache/archives/partial", "sources", "root", "programs"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "sources" / "suite.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {suite} main\n")
    options = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": scratch / "sources",
        "Dir::State::Lists": scratch / "lists",
        "Dir::Cache": scratch / "cache",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "",  # apt's own user cannot enter the scratch folder
    }
    flags = [f"-o{name}={value}" for name, value in options.items()]
    _run("apt-get", "-qq", *flags, "update")
    _run("apt-get", "-qq", *flags, "download", *_PACKAGES, cwd=scratch)
    for package in scratch.glob("*.deb"):
        _run("dpkg", "-x", str(package), str(scratch / "root"))
    for program in (path for path in (scratch / "root").rglob("*") if path.name in _PROGRAMS and path.is_file()):
        if program.stat().st_mode & 0o111:
            shutil.copy(program, scratch / "programs")
    return scratch / "programs"


def _mirror() -> str:
    """Where this system gets Debian's packages from."""
    targets = _run("apt-get", "indextargets", "--format", "$(ORIGIN) $(SUITE) $(REPO_URI)", "Created-By: Packages")
    for line in targets.splitlines():
        origin, _, rest = line.partition(" ")
        suite, _, uri = rest.partition(" ")
        if origin == "Debian" and not suite.endswith(("-security", "-updates")):
            return uri
    raise EngineDownloadError("apt-get knows no Debian mirror: run apt-get update")


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineDownloadError(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
