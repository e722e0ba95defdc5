"""A root file system of Debian packages for a private engine to run in, with the libc that its programs want."""

from collections.abc import Sequence
from pathlib import Path

from tools.debian_packages import unpack

WITHOUT_UNIFIED = "umount /sys/fs/cgroup/unified 2>/dev/null || true\n"
"""crun refuses control groups v1 and v2 side by side."""

# What runs before the daemon, with FOLDER (the engine's) and ROOT in the environment. The engine gets a layer above
# the root file system, so that many can share it, and sees its own folder at the same path as everybody else.
ENTER = """
mkdir -p "$FOLDER/layer" "$FOLDER/work" "$FOLDER/root"
mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$FOLDER/layer,workdir=$FOLDER/work" "$FOLDER/root"
cd "$FOLDER/root"
mkdir -p proc sys dev run tmp var/tmp old
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs none dev/shm
mount -t tmpfs none run
mount -t tmpfs none tmp
mkdir -p ".$FOLDER"
mount --bind "$FOLDER" ".$FOLDER"
cat /etc/resolv.conf >etc/resolv.conf
pivot_root . old
cd /
/usr/bin/busybox umount -l /old
"""


def make(root: Path, suite: str, packages: Sequence[str]) -> None:
    """Unpack packages and all that they need into an empty folder, and do what their scripts would have done."""
    unpack(suite, ("busybox-static", *packages), root, with_dependencies=True)
    binaries, programs = root / "usr" / "bin", root / "usr" / "sbin"
    for name in ("sh", "mount", "umount"):
        if not (binaries / name).exists():
            (binaries / name).symlink_to("busybox")
    for name in ("iptables", "ip6tables"):
        if not (programs / name).is_symlink():
            (programs / name).symlink_to("xtables-nft-multi")  # what update-alternatives would have chosen
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
