"""The gate of a warm container, and what opens it: POSIX shell text. Pure.

A warm container runs `gate_script`: the shell says that it is there, and then reads commands from stdin, line by line,
up to a line that nobody can guess. (A shell reads a pipe byte by byte, so that what follows, the run's own input, is
left alone.) `dispatch_script` is what is written then: it makes the environment that of a cold start and execs, so that
the run is process 1 like any other.
"""

from collections.abc import Sequence

_LINE, _SCRIPT = "_light_runner_line", "_light_runner_script"
_SHELLS_OWN = ("SHLVL", "PWD", "OLDPWD", "_")
"""What shells put into the environment of what they exec. A process that the daemon starts has none of it."""


def gate_script(nonce: str) -> str:
    """What a warm container runs. Where stdin ends without the nonce, nobody needs it any more."""
    return (
        f"echo {nonce}; {_SCRIPT}=; "
        f'while IFS= read -r {_LINE}; do [ "${_LINE}" = {nonce} ] && eval "${_SCRIPT}"; '
        f'{_SCRIPT}="${_SCRIPT}${_LINE}\n"; done; exit 0'
    )


def dispatch_script(
    nonce: str, command: Sequence[str], env: Sequence[str], image_env: Sequence[str], *, has_input: bool
) -> bytes:
    """What is written to the gate.

    Args:
        nonce: the gate's.
        command: the program and its arguments.
        env: ``NAME=value`` of the request; names are POSIX names.
        image_env: ``NAME=value`` of the image, which the gate runs with. What the shell has changed of it is put back.
        has_input: whether input follows. Without it stdin is /dev/null, as in a cold start.
    """
    entries = [entry for entry in image_env if entry.partition("=")[0] in _SHELLS_OWN]
    lines = [f"unset {' '.join((*_SHELLS_OWN, _LINE, _SCRIPT))}"]
    for entry in (*entries, *env):
        name, _, value = entry.partition("=")
        lines.append(f"export {name}={quote(value)}")
    stdin = "" if has_input else " </dev/null"
    lines.append(f"exec {' '.join(quote(word) for word in command)}{stdin}")
    return "".join(f"{line}\n" for line in (*lines, nonce)).encode()


def quote(text: str) -> str:
    """One word of a shell, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"
