"""Read what warm pools write to the gate of a waiting container (`lightrunner.rules.gate`), as a shell would. Pure."""

import re
from typing import NamedTuple

_NONCE = re.compile(r"\becho ([0-9a-f]+);")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PARAMETERS = {"1": "\n", "2": "env"}
_TOKEN = re.compile(
    r"""'(?P<single>[^']*)'|"\$(?P<parameter>[12])"|\\(?P<escaped>.)|(?P<bare>[^\s'"\\;]+)""", re.DOTALL
)


class Dispatch(NamedTuple):
    """A dispatch: the command, the environment to add, and whether the rest of stdin is the command's input."""

    argv: list[str]
    env: dict[str, str]
    has_input: bool


def gate_nonce(argv: list[str]) -> str | None:
    """Return the nonce that a gate prints when it is ready; None if the command is no gate."""
    if argv[:2] != ["sh", "-c"] or len(argv) != 3 or "_light_runner_script" not in argv[2]:  # noqa: PLR2004  # sh -c text
        return None
    found = _NONCE.search(argv[2])
    return found[1] if found else None


def read_dispatch(line: str) -> Dispatch:
    """Read the line that opens a gate."""
    env: dict[str, str] = {}
    words: list[str] = []
    for statement in _statements(line):
        if statement[0] == "export":
            name, _, value = statement[1].partition("=")
            env[name] = value
        elif statement[0] == "exec":
            # The first word stands for nothing but in bash.
            words = [word for word in statement[1:] if not word.startswith("${BASH_VERSION")]
    has_input = words[-1:] != ["</dev/null"]
    words = words if has_input else words[:-1]
    if words[:1] == ["env"]:
        at = next((at for at, word in enumerate(words[1:], 1) if not _NAME.match(word)), len(words))
        env |= dict(word.split("=", 1) for word in words[1:at])
        words = words[at:]
    return Dispatch(words, env, has_input)


def _statements(line: str) -> list[list[str]]:
    """Split into statements, and these into words, with the quotes removed."""
    statements: list[list[str]] = [[]]
    word: str | None = None
    at = 0
    while at < len(line):
        if line.startswith("${", at):  # ${BASH_VERSION:+"$2" -u SHLVL}
            end = line.index("}", at) + 1
            word, at = (word or "") + line[at:end], end
        elif (token := _TOKEN.match(line, at)) is not None:
            parameter, kind = token["parameter"], token.lastgroup
            text = _PARAMETERS[parameter] if parameter else token[kind or 0]
            word, at = (word or "") + text, token.end()
        else:
            if word is not None:
                statements[-1].append(word)
                word = None
            if line[at] == ";":
                statements.append([])
            at += 1
    if word is not None:
        statements[-1].append(word)
    return [statement for statement in statements if statement]
