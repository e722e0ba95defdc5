"""podman as a private engine, in a root file system of its own: Debian stable's.

podman keeps its locks and its control groups in fixed places. Each engine gets its own: a /run and a /dev/shm that go
with the mount namespace, and its own group in the place of each hierarchy's root.
"""

import resource
from pathlib import Path

from tools import root_filesystem

SUITE = "trixie"
PACKAGES = ("podman", "crun", "netavark", "aardvark-dns", "iptables")

_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile={nofile}:{nofile}", "nproc={nproc}:{nproc}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
firewall_driver = "iptables"
"""

_OWN_CGROUPS = """
mounts=$(cat /proc/mounts)
while read -r _ group type _; do
    case $type in cgroup | cgroup2) ;; *) continue ;; esac
    own=$group/${FOLDER##*/}
    mkdir -p "$own"
    for file in cpuset.mems cpuset.cpus; do
        [ ! -e "$own/$file" ] || cat "$group/$file" >"$own/$file"
    done
    mount --bind "$own" "$group"
done <<END
$mounts
END
"""
_CONFIGURE = 'echo "$PODMAN_CONFIG" >/etc/containers/containers.conf\n'
ENTER = root_filesystem.WITHOUT_UNIFIED + _OWN_CGROUPS + root_filesystem.ENTER + _CONFIGURE


def make_root(root: Path) -> None:
    """Fill an empty folder with what podman runs in."""
    root_filesystem.make(root, SUITE, PACKAGES)


def environment(root: Path) -> dict[str, str]:
    """The variables that `ENTER` wants."""
    # podman's defaults are more than a machine without CAP_SYS_RESOURCE allows.
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(limit)[1] for name, limit in limits.items()}
    return {"ROOT": str(root), "PODMAN_CONFIG": _CONTAINERS_CONF.format_map(hard)}


def command(folder: Path) -> list[str]:
    """Serve the Docker API on the engine's socket."""
    places = [f"--root={folder}/data", "--runroot=/run/podman", "--storage-driver=overlay", "--runtime=crun"]
    return ["/usr/bin/podman", *places, "system", "service", "--time=0", f"unix://{folder}/docker.sock"]
