"""Every default, cap, label and name that lightrunner uses, with its reason and its source.

Names on the daemon are light-runner's (the Node library, 0.13), so that both tools can share one daemon.
Times are seconds, sizes are bytes.
"""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# --- what a run leaves on the daemon while it lives ---------------------------------------------------------------

NAME_PREFIX = "light-runner-"
"""Container and volume of a run are both called ``light-runner-<id>``."""

LABEL_RUN_ID = "light-runner.run-id"
"""On every container and volume of a run; the value is the run's id."""

LABEL_KIND = "light-runner.kind"
"""On what outlives a run: the isolated network (``network``) and cache images (``cache``)."""

LABEL_OWNER = "light-runner.owner"
"""On every container and volume of a run: the process that made it, as `lightrunner.host.owner` writes it."""

LABEL_DETACHED = "light-runner.detached"
"""On what may outlive its owner; the value is its time-out in seconds, or ``none``."""

LABEL_STATE_DIR = "light-runner.state-dir"
"""On a detached run's container: the folder that its state is kept in, percent-encoded. A reaper with another folder
must not take it for a run that nobody knows of."""

LABEL_TARGETS = "light-runner.extract-targets"
"""On a container with extracts: the host folders that they are staged in, a JSON list, for whoever cleans up after a
process that was killed."""

ISOLATED_NETWORK = "light-runner-isolated"
"""The default network: a bridge without inter-container traffic. It stays on the daemon between runs."""

ISOLATED_BRIDGE = "light-runner0"
"""The bridge device of that network. A fixed name makes concurrent creates collide in the daemon, so that exactly one
of them succeeds: ``CheckDuplicate`` alone does not hold (6 racing creates made 6 networks on 20.10). A device name
has 15 characters at most (IFNAMSIZ)."""

CACHE_REPOSITORY = "light-runner-cache"
"""Images of setup steps are called ``light-runner-cache:<sha256>``. They stay between runs."""

CACHE_KIND = "cache"
"""Their `LABEL_KIND`."""

# --- defaults of a request and of a runner ------------------------------------------------------------------------

DEFAULT_MEMORY = "512m"
DEFAULT_CPUS = 1.0
DEFAULT_TIMEOUT = 1200.0
DEFAULT_WORKDIR = "/app"
DEFAULT_RUNTIME = "runc"
DEFAULT_MAX_EXTRACT_BYTES = GIB
DEFAULT_BUILD_TIMEOUT = 600.0
DEFAULT_CACHE_AGE = 7 * 86400.0
STATE_DIR_VARIABLE = "LIGHT_RUNNER_STATE_DIR"
DEFAULT_STATE_DIR = "~/.light-runner/state"

DEFAULT_REAP_AGE = 300.0
REAP_AGE_VARIABLE = "LIGHT_RUNNER_REAP_AGE_MS"
"""In milliseconds, as light-runner has it."""

DETACHED_LOG_OPTIONS = {"max-size": "16m", "max-file": "2"}
"""The daemon keeps a detached run's output until it is attached to: the last 16 to 32 MB of it."""

# --- the sandbox, never off ---------------------------------------------------------------------------------------

PIDS_LIMIT = 100
"""Fork-bomb protection; light-runner's figure."""

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

# --- containers that are kept ready -------------------------------------------------------------------------------

PAUSE_REPOSITORY = "light-runner-pause"
"""The image of prepared networks' pause containers: ``light-runner-pause:<hash>``. It stays on the daemon."""

PAUSE_MEMORY_BYTES = 32 * MIB
PAUSE_PIDS = 16
"""With 6 MiB and 2 pids one start failed on 20.10 ("cannot start a stopped process"), with these none did: the limits
hold for runc's own start-up, too."""

PAUSE_REFILL_DELAY = 0.5
DEFAULT_IDLE_TIME = 60.0
WARM_REFILL_DELAY = 0.15
"""Seconds from a taking to its refill, at the latest."""

# --- caps on what comes from outside ------------------------------------------------------------------------------

MIN_MEMORY_BYTES = 6 * MIB
"""The engine's minimum since 20.10 (moby, daemon_unix.go, ``linuxMinMemory``)."""

MAX_MEMORY_BYTES = 2**63 - 1
"""The engine keeps sizes as int64."""

MIN_CPUS = 0.01
"""The engine's minimum (moby, daemon_unix.go: "range of CPUs is from 0.01")."""

MAX_PATH_BYTES = 4095
"""Linux' PATH_MAX without its NUL."""

MAX_NAME_BYTES = 255
"""Linux' NAME_MAX."""

MAX_MEMBER_DEPTH = 255
"""Folders inside folders that an extract accepts: removing a staged tree takes one file descriptor and one stack frame
a level, and no legitimate tree is deeper."""

MAX_TAR_EXTENSION_BYTES = MIB
"""A pax or GNU long-name record. Go's archive/tar, the daemon's own, refuses more than 1 MiB as well."""

MAX_DOCKERFILE_LINE_BYTES = 64 * KIB - 1
"""Go's bufio.Scanner, which reads the engine's Dockerfiles, refuses a token of 64 KiB."""

BUILD_TAIL_BYTES = 4 * KIB
"""What a failed build's error shows of its output."""

MAX_CAPTURE_BYTES = 8 * MIB
"""What ``capture_output`` keeps of each stream; more is cut off and flagged."""

MAX_LINE_BYTES = 64 * KIB
"""A longer log line is delivered in pieces, marked as such."""

LOG_BUFFER_BYTES = 8 * MIB
"""Raw output held for a log callback that is slower than the container, before the container has to wait. Held raw
and split on delivery: a prototype's decoded lines took 263 MB where the raw bytes took 74."""

# --- deadlines, in seconds ----------------------------------------------------------------------------------------

CREATE_TIMEOUT = 60.0
"""For the answers that are awaited shielded (container and network create): a DELETE must not overtake them."""

CLEANUP_TIMEOUT = 30.0
"""For the whole removal of one run's container and volume. It is shielded, so it has to end by itself."""

RECONNECT_TIMEOUT = 10.0
"""For a daemon that is gone when a run is to be removed: a restart takes 2 to 5 s."""

CLOSE_TIMEOUT = CLEANUP_TIMEOUT + 5.0
"""For the removal of all runs that a closed runner aborts; they are removed at the same time."""

KILL_TIMEOUT = 30.0
"""From SIGKILL to the end of the output and the exit code."""

STOP_GRACE = 10.0
"""``docker stop``'s default."""

# --- what a seed leaves out ---------------------------------------------------------------------------------------

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
