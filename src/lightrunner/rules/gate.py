"""The gate of a warm container, and the dispatch that opens it: POSIX shell scripts. Pure.

A warm container runs `gate_script`: the shell prints a nonce, and then waits for one line on stdin. `dispatch_script`
is that line: it restores the environment of a cold start, and execs the run's command, so that the run is process 1 as
in a cold start. (A shell reads a pipe byte by byte, so it leaves the run's input, which follows the line, unread.)
"""

from collections.abc import Sequence
from typing import NamedTuple

_SCRIPT = "_light_runner_script"
_NEWLINE, _ENV = '"$1"', '"$2"'
"""Positional parameters, which no environment variable can shadow: a newline, and the path of env(1). The script must
be one line, since a shell that joins lines copies them each time (35 s for a value of 100,000 newlines)."""

_EXPORTED = ("SHLVL", "PWD", "OLDPWD", "_")
"""Variables that shells export to the programs they exec. A process that the daemon starts has none of them."""

_SHELLS_OWN = frozenset(
    (
        *_EXPORTED,
        *("IFS", "OPTIND", "PPID", "PS1", "PS2", "PS4", "LINENO"),
        # bash as sh
        *("COMP_WORDBREAKS", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS", "HISTCMD"),
        *("OPTERR", "PIPESTATUS", "RANDOM", "SECONDS", "SHELLOPTS", "SRANDOM", "UID"),
    )
)
"""Variables that dash, busybox or bash changes at its start, or refuses to set: ``export UID=1000`` ends bash. (A test
finds them.) Variables that begin with BASH are treated alike."""

_READ = f"IFS= TMOUT= read -r {_SCRIPT}"
_EVALUATE = f'eval "unset {_SCRIPT} {" ".join(_EXPORTED)}; ${_SCRIPT}"'
"""What every dispatch needs is in the gate: a shell reads the dispatch byte by byte, which takes 0.7 µs each."""


def gate_script(nonce: str) -> str:
    """Return the script that a warm container runs. It prints the nonce, waits for the dispatch, and evaluates it.

    If stdin ends first, the script exits. It looks up ``env`` before the request's PATH is set. It clears TMOUT, since
    an image's TMOUT would end bash's wait.
    """
    return f'set -- "\n" "$(command -v env)"; echo {nonce}; {_READ} && {_EVALUATE}; exit 0'


def claimable_gate_script() -> str:
    """Return the script of a container that waits for whoever claims it. It evaluates each line that it reads.

    It prints nothing by itself: nobody listens yet, and its output is not kept.
    """
    return f'set -- "\n" "$(command -v env)"; while {_READ}; do {_EVALUATE}; done; exit 0'


def claim_script(nonce: str) -> bytes:
    """Return the line that claims a container. The gate answers with a `ClaimReply`."""
    tools = " && ".join(f"command -v {tool} >/dev/null" for tool in ("head", "mkfifo", "rm"))
    status = "while read -r k v; do case $k in NoNewPrivs:) n=$v;; esac; done </proc/self/status"
    # In a subshell, so that no variable stays.
    return f"(n=; {status}; t=no; {tools} && t=yes; echo {nonce} no-new-privileges=$n input=$t) 2>/dev/null\n".encode()


class ClaimReply(NamedTuple):
    """What a claimed container says of itself, before it has run anything of a request.

    Attributes:
        no_new_privileges: the kernel's own word: the process cannot gain privileges; None if it does not tell.
        takes_input: the image has the programs that `dispatch_script` needs for `input_bytes`.
    """

    no_new_privileges: bool | None
    takes_input: bool


def parse_claim_reply(nonce: str, text: bytes) -> ClaimReply | None:
    """Parse the answer to a claim; None if it is not the answer to this one."""
    match text.decode("ascii", "replace").split(" "):
        case [said, privileges, takes_input] if said == nonce:
            value = privileges.removeprefix("no-new-privileges=")
            return ClaimReply({"0": False, "1": True}.get(value), takes_input == "input=yes\n")
        case _:
            return None


def dispatch_script(
    command: Sequence[str],
    env: Sequence[str],
    image_env: Sequence[str],
    *,
    has_input: bool,
    input_bytes: int | None = None,
) -> bytes:
    """Return the line that opens the gate and starts the run's command.

    Args:
        command: the program and its arguments.
        env: ``NAME=value`` entries of the request. Names are POSIX names.
        image_env: ``NAME=value`` entries of the image, which the gate runs with. Those that the shell has changed are
            restored.
        has_input: whether input follows the line. Without input, stdin is /dev/null, as in a cold start.
        input_bytes: the number of bytes of input that follow the line, where the end of stdin cannot tell: the
            command's stdin is then a pipe that ends after so many.
    """
    # The shell exports what it can: running env(1) in between takes as long as everything else. env(1) sets the rest.
    carried = [entry for entry in image_env if _is_shells_own(_name(entry))]
    exported: list[str] = []
    for entry in env:
        # bash would warn about a locale that does not exist.
        by_env = _is_shells_own(_name(entry)) or _name(entry).startswith("LC_")
        (carried if by_env else exported).append(entry)
    steps = [] if input_bytes is None else [_counted_input(input_bytes)]
    for entry in exported:
        name, _, value = entry.partition("=")
        steps.append(f"export {name}={quote(value)}")
    # On exec, bash decrements SHLVL and exports it, even if it is unset.
    words = [f"${{BASH_VERSION:+{_ENV} -u SHLVL}}"]
    if carried:
        words += [_ENV, *map(quote, carried)]
    words += map(quote, command)
    steps.append(f"exec {' '.join(words)}{'' if has_input else ' </dev/null'}")
    return f"{'; '.join(steps)}\n".encode()


def _counted_input(size: int) -> str:
    """Make stdin a pipe that ends after `size` bytes, and leave the shell the process that execs.

    /dev/shm is writable for every user, also where the root is read-only. The subshell ends at once, so that head(1)
    is no child of the command. Its stdin is named, since a shell without job control takes /dev/null for a background
    command's.
    """
    pipe = '"/dev/shm/.light-runner"'
    feed = f"(head -c {size} <&3 3<&- >{pipe} &)"
    return f"mkfifo {pipe}; exec 3<&0; {feed}; exec <{pipe} 3<&-; rm {pipe}"


def quote(text: str) -> str:
    """Quote any text as one word of a shell, on one line."""
    return "'" + text.replace("'", "'\\''").replace("\n", f"'{_NEWLINE}'") + "'"


def _name(entry: str) -> str:
    return entry.partition("=")[0]


def _is_shells_own(name: str) -> bool:
    # An image may have names that are not variable names. Some shells drop them.
    is_variable = name.isascii() and name.isidentifier()
    return not is_variable or name in _SHELLS_OWN or name.startswith("BASH")
