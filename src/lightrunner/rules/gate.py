"""The gate of a warm container, and the dispatch that opens it: POSIX shell scripts. Pure.

A warm container runs `gate_script`: the shell prints a nonce, and then waits for one line on stdin. `dispatch_script`
is that line: it restores the environment of a cold start, and execs the run's command, so that the run is process 1 as
in a cold start. (A shell reads a pipe byte by byte, so it leaves the run's input, which follows the line, unread.)
"""

from collections.abc import Sequence

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


def gate_script(nonce: str) -> str:
    """Return the script that a warm container runs. It prints the nonce, waits for the dispatch, and evaluates it.

    If stdin ends first, the script exits. It looks up ``env`` before the request's PATH is set. It clears TMOUT, since
    an image's TMOUT would end bash's wait.
    """
    return f'set -- "\n" "$(command -v env)"; echo {nonce}; IFS= TMOUT= read -r {_SCRIPT} && eval "${_SCRIPT}"; exit 0'


def dispatch_script(command: Sequence[str], env: Sequence[str], image_env: Sequence[str], *, has_input: bool) -> bytes:
    """Return the line that opens the gate and starts the run's command.

    Args:
        command: the program and its arguments.
        env: ``NAME=value`` entries of the request. Names are POSIX names.
        image_env: ``NAME=value`` entries of the image, which the gate runs with. Those that the shell has changed are
            restored.
        has_input: whether input follows the line. Without input, stdin is /dev/null, as in a cold start.
    """
    # The shell exports what it can: running env(1) in between takes as long as everything else. env(1) sets the rest.
    carried = [entry for entry in image_env if _is_shells_own(_name(entry))]
    exported: list[str] = []
    for entry in env:
        # bash would warn about a locale that does not exist.
        by_env = _is_shells_own(_name(entry)) or _name(entry).startswith("LC_")
        (carried if by_env else exported).append(entry)
    steps = [f"unset {_SCRIPT} {' '.join(_EXPORTED)}"]
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


def quote(text: str) -> str:
    """Quote any text as one word of a shell, on one line."""
    return "'" + text.replace("'", "'\\''").replace("\n", f"'{_NEWLINE}'") + "'"


def _name(entry: str) -> str:
    return entry.partition("=")[0]


def _is_shells_own(name: str) -> bool:
    # An image may have names that are not variable names. Some shells drop them.
    is_variable = name.isascii() and name.isidentifier()
    return not is_variable or name in _SHELLS_OWN or name.startswith("BASH")
