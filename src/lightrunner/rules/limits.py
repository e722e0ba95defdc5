"""Every default, limit, label and name that lightrunner uses, with its reason and its source.

Names on the daemon are light-runner's (the Node library, 0.13), so that both tools can share one daemon.
Times are in seconds, sizes in bytes.
"""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# --- names and labels on the daemon -------------------------------------------------------------------------------

NAME_PREFIX = "light-runner-"
"""A run's container and its volume are both called ``light-runner-<id>``."""

LABEL_RUN_ID = "light-runner.run-id"
"""On every container and volume of a run. The value is the run's id."""

LABEL_PREFIX = "light-runner."
"""The labels that are lightrunner's own begin with it. A request cannot set them."""

LABEL_KIND = "light-runner.kind"
"""On objects that outlive a run: the isolated network (``network``) and cache images (``cache``)."""

LABEL_OWNER = "light-runner.owner"
"""On every container and volume of a run: the process that created it, as `lightrunner.host.owner` writes it."""

LABEL_DETACHED = "light-runner.detached"
"""On containers of detached runs, which may outlive their owner. The value is the time-out in seconds, or ``none``."""

LABEL_STATE_DIR = "light-runner.state-dir"
"""On a detached run's container: its state folder, percent-encoded. A reaper with another state folder must not take
the run for an orphan."""

LABEL_TARGETS = "light-runner.extract-targets"
"""On a container with extracts: the host folders that they are staged in, as a JSON list. The reaper removes what a
killed process has staged there."""

LABEL_CLAIM = "light-runner.claim"
"""On the volume that marks a swarm's container as claimed: the claim's nonce."""

LABEL_CONTAINER = "light-runner.container"
"""On the same volume: the container's id."""

ISOLATED_NETWORK = "light-runner-isolated"
"""The name of the default network: a bridge without inter-container traffic. It stays on the daemon between runs."""

ISOLATED_BRIDGE = "light-runner0"
"""The bridge device of the isolated network. With a fixed device name, exactly one of several concurrent creates
succeeds. ``CheckDuplicate`` alone does not ensure that: 6 racing creates made 6 networks on 20.10. A device name has at
most 15 characters (IFNAMSIZ)."""

CACHE_REPOSITORY = "light-runner-cache"
"""Cache images, which have the setup steps, are called ``light-runner-cache:<sha256>``. They stay between runs."""

LABEL_BASE = "light-runner.base"
"""On cache images of requests that always pull: the id of the image that the setup steps were built on. The others do
without, since the builder takes one more step for it."""

CACHE_KIND = "cache"
"""The value of `LABEL_KIND` on cache images."""

SNAPSHOT_TAG_PREFIX = "snapshot-"
"""Snapshots of sandboxes are called ``light-runner-cache:snapshot-<name>``, and are cache images otherwise."""

# --- defaults of a request and of a runner ------------------------------------------------------------------------

DEFAULT_MEMORY = "512m"
DEFAULT_CPUS = 1.0
DEFAULT_TIMEOUT = 1200.0
DEFAULT_TTY_SIZE = (24, 80)
DEFAULT_WORKDIR = "/app"
DEFAULT_RUNTIME = "runc"
DEFAULT_MAX_EXTRACT_BYTES = GIB
DEFAULT_BUILD_TIMEOUT = 600.0
DEFAULT_CACHE_AGE = 7 * 86400.0
STATE_DIR_VARIABLE = "LIGHT_RUNNER_STATE_DIR"
DEFAULT_STATE_DIR = "~/.light-runner/state"

DEFAULT_REAP_AGE = 300.0
REAP_AGE_VARIABLE = "LIGHT_RUNNER_REAP_AGE_MS"
"""The variable is in milliseconds, as in light-runner."""

DETACHED_LOG_OPTIONS = {"max-size": "16m", "max-file": "2"}
"""The daemon keeps the last 16 to 32 MB of a detached run's output, for `attach`."""

# --- the sandbox: always on ---------------------------------------------------------------------------------------

DEFAULT_PIDS = 100
"""A limit against fork bombs; light-runner's figure."""

DROPPED_CAPABILITIES = ("NET_RAW", "MKNOD", "SYS_CHROOT", "SETPCAP", "SETFCAP", "AUDIT_WRITE")
"""Dropped from Docker's default set; light-runner's list."""

# --- the program that lightrunner puts into containers ------------------------------------------------------------

INIT_REPOSITORY = "light-runner-init"
"""The image of the init program: ``light-runner-init:<hash>``. It stays on the daemon."""

INIT_VOLUME_PREFIX = "light-runner-init-"
"""The volume of the init program: ``light-runner-init-<hash>``. It stays on the daemon."""

INIT_KIND = "init"
"""Their `LABEL_KIND`."""

INIT_FOLDER = "/.light-runner"
"""Where containers mount that volume, read-only."""

INIT_PATH = f"{INIT_FOLDER}/init"
"""The program's path in a container, and in its image."""

# --- containers that are kept ready -------------------------------------------------------------------------------

PAUSE_KIND = "pause"
"""The `LABEL_KIND` of pause containers."""

PAUSE_MEMORY_BYTES = 32 * MIB
PAUSE_PIDS = 16
"""These limits also apply to runc while it starts the container. With 6 MiB and 2 pids, a start failed on 20.10
("cannot start a stopped process"); with these none did."""

PAUSE_REFILL_DELAY = 0.5
DEFAULT_IDLE_TIME = 60.0
WARM_REFILL_DELAY = 0.15
"""Seconds from a `take` to its refill, at most."""

# --- limits of input and of what containers send ------------------------------------------------------------------

MIN_MEMORY_BYTES = 6 * MIB
"""The engine's minimum since 20.10 (moby, daemon_unix.go, ``linuxMinMemory``)."""

MAX_MEMORY_BYTES = 2**63 - 1
"""The engine stores sizes as int64."""

MIN_CPUS = 0.01
"""The engine's minimum (moby, daemon_unix.go: "range of CPUs is from 0.01")."""

MAX_PATH_BYTES = 4095
"""Linux's PATH_MAX without its NUL."""

MAX_NAME_BYTES = 255
"""Linux's NAME_MAX."""

MAX_MEMBER_DEPTH = 255
"""The depth of folders that an extract accepts. Removing a staged tree takes one file descriptor and one stack frame
per level, and no legitimate tree is deeper."""

MAX_TAR_EXTENSION_BYTES = MIB
"""Limit of a pax or GNU long-name record. Go's archive/tar, which the daemon uses, has the same limit."""

MAX_DOCKERFILE_LINE_BYTES = 64 * KIB - 1
"""Go's bufio.Scanner, with which the engine reads Dockerfiles, refuses a token of 64 KiB."""

BUILD_TAIL_BYTES = 4 * KIB
"""How much of the output the error of a failed build shows."""

MAX_CAPTURE_BYTES = 8 * MIB
"""How much of each stream ``capture_output`` keeps. The rest is dropped, and the result says so."""

MAX_CAPTURE_CHUNKS = 65_536
"""How many chunks ``capture_output`` keeps the order of. A container that writes single bytes, to stdout and stderr in
turn, must not cost gigabytes of objects."""

MAX_TERMINAL_LINE_BYTES = 4095
"""What a terminal takes of one line, newline included; it drops the rest (Linux, N_TTY_BUF_SIZE, termios(3))."""

MAX_TERMINAL_SIZE = 65_535
"""Rows and columns are an unsigned short each (ioctl_tty(2), TIOCSWINSZ)."""

DEFAULT_READ_BYTES = 64 * MIB
"""The longest file that a sandbox's ``read`` returns, unless it is told another limit: it is held in memory."""

MAX_LINE_BYTES = 64 * KIB
"""A longer log line is delivered in pieces with ``partial=True``."""

LOG_BUFFER_BYTES = 8 * MIB
"""Raw output buffered for a log callback that is slower than the container. When it is full, the container blocks.
Output is split into lines on delivery: in a prototype decoded lines took 263 MB, and the raw bytes 74 MB."""

# --- deadlines, in seconds ----------------------------------------------------------------------------------------

CREATE_TIMEOUT = 60.0
"""For the responses to container and network creates. Waiting for them is shielded, so that no DELETE overtakes a
create."""

CLEANUP_TIMEOUT = 30.0
"""For removing a run's container and volume. The removal is shielded, so it must end by itself."""

LEADER_TIMEOUT = 60.0
"""For the managers of a swarm to elect a leader, where several are known."""

MANAGER_TIMEOUT = 3.0
"""For one of several managers to answer, before another is asked. A manager that does not lead waits 20 s in vain for a
leader that has lost its power (20.10), while the new leader answers at once."""

CLAIM_TIMEOUT = 10.0
"""For a swarm's container to answer a claim."""

PLACEMENT_TIMEOUT = 5.0
"""For Swarm to find a node with room, before "no suitable node" is an error."""

NODE_WATCH_PAUSE = 5.0
"""Between two looks at the state of a run's node. Swarm takes 5 to 20 s itself to notice that a node is gone."""

RECONNECT_TIMEOUT = 10.0
"""For a daemon that is down when a run is to be removed. A restart takes 2 to 5 s."""

CLOSE_TIMEOUT = CLEANUP_TIMEOUT + 5.0
"""For removing all runs that a closed runner aborts. They are removed concurrently."""

KILL_TIMEOUT = 30.0
"""From SIGKILL to the end of the output and the exit code."""

OUTPUT_END_TIMEOUT = 5.0
"""From the end of the output to the exit. The engine ends an attach while it handles the exit, even if the process has
closed its streams (seen on 20.10, 28.5 and podman 5.4, which reports the exit some milliseconds later)."""

KILL_NOTICE_TIMEOUT = 0.5
"""For the daemon's notice of what killed a container, an OOM kill above all, which may come after the exit (seen on
Docker 28.5). Waited for only after a SIGKILL that nothing explains."""

STOP_GRACE = 10.0
"""``docker stop``'s default."""

# --- what a request may add to its container ----------------------------------------------------------------------

MAX_PIDS = 2**22
"""Linux' PID_MAX_LIMIT on 64 bits."""

SECRETS_FOLDER = "/run/secrets"
"""Where a container finds its secrets: Docker's own place for them."""

MAX_SECRETS_BYTES = 256 * KIB
"""All secrets of one run together. Keys and certificates have a few KiB, and what a tmpfs holds counts towards the
run's memory. init/secrets.c has this limit and the next as well."""

MAX_SECRETS = 64
"""Secrets of one run."""

SECRETS_TMPFS_BYTES = MAX_SECRETS * 64 * KIB + MAX_SECRETS_BYTES
"""The size of their tmpfs: each file takes whole pages, of 64 KiB on some arm64 machines."""

MAX_PASSWD_BYTES = MIB
"""How much of an image's ``/etc/passwd`` is searched for a user's number."""

MAX_PROFILE_BYTES = MIB
"""A seccomp profile. Docker's default has 12 KiB."""

# --- what a seed skips --------------------------------------------------------------------------------------------

SKIPPED_FOLDERS = frozenset(
    {
        # light-runner's list.
        ".git",
        "node_modules",
        "dist",
        "build",
        ".next",
        ".cache",
        ".turbo",
        "coverage",
        # Python's caches and virtual environments. (Any other folder with a pyvenv.cfg is skipped as well.)
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".hypothesis",
        ".tox",
        ".nox",
        ".venv",
        "venv",
    }
)
VENV_MARKER = "pyvenv.cfg"
"""The file that makes a folder a Python virtual environment (PEP 405)."""
