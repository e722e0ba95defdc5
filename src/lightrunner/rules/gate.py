"""The gate of a warm container, and what opens it: POSIX shell text. Pure.

A warm container runs `gate_script`: the shell says that it is there, and then waits for one line on stdin.
`dispatch_script` is that line: it makes the environment that of a cold start and execs, so that the run is process 1
like any other. (A shell reads a pipe byte by byte, so that what follows the line, the run's own input, is left alone.)
"""

from collections.abc import Sequence

_SCRIPT = "_light_runner_script"
_NEWLINE, _ENV = '"$1"', '"$2"'
"""Positional parameters, since no environment has these. The script is one line, for a shell that puts lines together
copies them each time: 35 s for a value of 100,000 newlines."""

_EXPORTED = ("SHLVL", "PWD", "OLDPWD", "_")
"""What shells put into the environment of what they exec. A process that the daemon starts has none of it."""

_SHELLS_OWN = frozenset(
    (
        *_EXPORTED,
        *("IFS", "OPTIND", "PPID", "PS1", "PS2", "PS4", "LINENO"),
        # bash as sh
        *("COMP_WORDBREAKS", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS", "HISTCMD"),
        *("OPTERR", "PIPESTATUS", "RANDOM", "SECONDS", "SHELLOPTS", "SRANDOM", "UID"),
    )
)
"""Variables that dash, busybox or bash changes as it starts, or does not take as they are: ``export UID=1000`` ends
bash. (A test finds them.) The same goes for all that begin with BASH."""


def gate_script(nonce: str) -> str:
    """What a warm container runs: it says the nonce. Where stdin ends before the line does, nobody needs it any more.

    Where `env` is has to be known before the request's PATH holds. An image's TMOUT would end bash's waiting.
    """
    return f'set -- "\n" "$(command -v env)"; echo {nonce}; IFS= TMOUT= read -r {_SCRIPT} && eval "${_SCRIPT}"; exit 0'


def dispatch_script(command: Sequence[str], env: Sequence[str], image_env: Sequence[str], *, has_input: bool) -> bytes:
    """What is written to the gate: one line.

    Args:
        command: the program and its arguments.
        env: ``NAME=value`` of the request; names are POSIX names.
        image_env: ``NAME=value`` of the image, which the gate runs with. What the shell has lost of it is put back.
        has_input: whether input follows. Without it stdin is /dev/null, as in a cold start.
    """
    # The shell exports what it can, for another program in between takes as long as all the rest. What it cannot goes
    # through env(1).
    carried = [entry for entry in image_env if _is_shells_own(_name(entry))]
    exported: list[str] = []
    for entry in env:
        # Of a locale that is not there, bash would complain.
        by_env = _is_shells_own(_name(entry)) or _name(entry).startswith("LC_")
        (carried if by_env else exported).append(entry)
    steps = [f"unset {_SCRIPT} {' '.join(_EXPORTED)}"]
    for entry in exported:
        name, _, value = entry.partition("=")
        steps.append(f"export {name}={quote(value)}")
    # bash counts SHLVL down on exec, and exports it, though it was unset.
    words = [f"${{BASH_VERSION:+{_ENV} -u SHLVL}}"]
    if carried:
        words += [_ENV, *map(quote, carried)]
    words += map(quote, command)
    steps.append(f"exec {' '.join(words)}{'' if has_input else ' </dev/null'}")
    return f"{'; '.join(steps)}\n".encode()


def quote(text: str) -> str:
    """One word of a shell, whatever is in it, without a newline."""
    return "'" + text.replace("'", "'\\''").replace("\n", f"'{_NEWLINE}'") + "'"


def _name(entry: str) -> str:
    return entry.partition("=")[0]


def _is_shells_own(name: str) -> bool:
    # An image may have names that no shell has variables for. Some shells drop them.
    is_variable = name.isascii() and name.isidentifier()
    return not is_variable or name in _SHELLS_OWN or name.startswith("BASH")
