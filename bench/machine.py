"""Describe the machine of a measurement: ratios are comparable between machines, milliseconds are not."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tools.raw_engine import RawEngine

_LIBRARIES = ("lightrunner", "httpx", "trio", "msgspec", "docker", "aiodocker")


def describe(host: str) -> dict[str, str]:
    """Machine, kernel, engine, runtime and versions, in words."""
    raw = RawEngine(host)
    info, engine = raw.get("/info"), raw.version()
    parts = {part["Name"]: part["Version"] for part in engine.get("Components", [])}
    runtime: str = info["DefaultRuntime"]
    return {
        "machine": f"{os.cpu_count()} x {_processor()}, {_memory()}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kernel": f"{platform.system()} {platform.release()}",
        "engine": f"{engine['Version']}, API {engine['ApiVersion']}, {info['Driver']}, cgroup v{info['CgroupVersion']}",
        "runtime": f"{runtime} {parts.get(runtime, '')}".strip(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():  # Only Linux has it.
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "missing"
