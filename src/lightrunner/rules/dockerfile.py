"""Check setup steps, and make their Dockerfile and their cache tag. Pure.

The invariant: from every list of steps that `check_steps` accepts, the engine's Dockerfile parser reads exactly one
FROM and one RUN per step, without flags, and with the step's text unchanged.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

from .limits import CACHE_REPOSITORY, MAX_DOCKERFILE_LINE_BYTES
from .names import check_text
from .violation import RuleViolation

_RUN = "RUN "
_BLANKS = " \t"
# The characters for which Go's unicode.IsSpace is true. The parser trims them from lines.
_GO_SPACES = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
    "\u205f\u3000"
)
_GO_SPACE = re.compile(f"[{''.join(_GO_SPACES)}]+")
# parser.go, reHeredoc: a word of digits, "<<", an optional "-", and a name without "<". Since BuildKit 0.22 (Docker
# 28.2) the name may be the next word.
_HEREDOC = re.compile(r"[0-9]*<<[^<]+", re.DOTALL)
_HEREDOC_WITHOUT_NAME = re.compile(r"[0-9]*<<-?")
_PLAIN_VARIABLE = re.compile(r"\$\{\w+\}", re.ASCII)
_PLATFORM = re.compile(r"[a-z0-9_]{1,32}(?:/[a-z0-9_]{1,32}(?:/[a-z0-9_.]{1,32})?)?")


class StepViolation(RuleViolation):
    """A setup step breaks a rule. `field` is ``run[<index>]``, counted from 0."""


def check_steps(field: str, value: object) -> tuple[str, ...]:
    r"""Check setup steps. Return them as they go into the Dockerfile: without blanks and tabs at their ends.

    The rules, and the hole that each closes (grammar: moby/buildkit, frontend/dockerfile/parser and shell, which the
    engine uses):

    ==============================  ================================================================================
    text, not empty, UTF-8          ``RUN`` alone is an error; text that cannot be encoded cannot be sent
    no newline, carriage return,    a new line is a new instruction; the parser drops a carriage return at an end
    NUL
    no other space at an end        the parser trims a no-break space, a vertical tab and the like, which are text to a
                                    shell
    no backslash at the end         it joins the step with the next one; 20.10 treats ``\\`` alike, and ignores blanks
                                    after it
    no leading ``--``               it is a flag: ``--mount``, ``--network``, ``--security``; the parser skips blanks
                                    before it, so they are trimmed before this check
    no leading JSON list            it is the exec form, and the parser silently drops what follows the list
    no here-document                ``<<EOF`` makes the following lines its text, up to a line EOF; newer engines also
                                    read ``<< EOF`` like this, and with it the shift in ``$((1 << 2))``
    at most 65,531 bytes            Go's bufio.Scanner refuses a line of 64 KiB, ``RUN`` included
    ==============================  ================================================================================

    Raises:
        StepViolation: a step breaks a rule. The exception names the step and the rule.
        RuleViolation: the value is not a list.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise RuleViolation(field, value, "not a list of setup steps")
    return tuple(_check_step(f"{field}[{at}]", step) for at, step in enumerate(cast("Sequence[object]", value)))


def check_platform(field: str, value: object) -> str:
    """Check a platform, such as ``linux/arm64`` or ``linux/arm/v7``."""
    text = check_text(field, value)
    if _PLATFORM.fullmatch(text) is None:
        raise RuleViolation(field, value, "not a platform: os[/architecture[/variant]], such as linux/arm64")
    return text


def dockerfile(image: str, steps: Sequence[str]) -> bytes:
    """Return the Dockerfile of checked steps on a checked image."""
    return "".join((f"FROM {image}\n", *(f"{_RUN}{step}\n" for step in steps))).encode()


def cache_tag(image: str, steps: Sequence[str], platform: str | None = None) -> str:
    """Return the tag of the steps' cache image. Equal inputs have equal tags, in every process."""
    identity = [image, list(steps)] if platform is None else [image, list(steps), platform]
    digest = hashlib.sha256(json.dumps(identity, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()
    return f"{CACHE_REPOSITORY}:{digest}"


def _check_step(field: str, value: object) -> str:
    try:
        step = check_text(field, value).strip(_BLANKS)
    except RuleViolation as violation:
        raise StepViolation(violation.field, violation.value, violation.reason) from None
    for is_broken, reason in _RULES:
        if is_broken(step):
            raise StepViolation(field, value, reason)
    return step


def _is_exec_form(step: str) -> bool:
    """Return whether the parser takes the step for an exec form: parseJSON (parser.go) ignores what follows a list."""
    if not step.startswith("["):  # ``[ -f x ] && y`` is a shell test, not JSON.
        return False
    try:
        json.JSONDecoder().raw_decode(step)
    except ValueError:
        return False
    except RecursionError:  # Too deep for this decoder, but not for Go's.
        return True
    return True


def _has_heredoc(step: str) -> bool:
    words = _words(step)
    apart = (f"{word}{name}" for word, name in pairwise(words) if _HEREDOC_WITHOUT_NAME.fullmatch(word))
    return any(_HEREDOC.fullmatch(word) for word in (*words, *apart))


def _words(step: str) -> list[str]:
    """Split a step into words without escapes, as the parser's lexer does to find here-documents (lex.go).

    A space inside quotes does not end a word: ``echo "a <<EOF b"`` is harmless. Braces with more than a name
    (``${x:-"}``) can contain quotes and escapes that the lexer removes before it splits words. In a step with such
    braces, quotes and escapes are therefore ignored: every space ends a word.
    """
    if "<<" not in step.replace("\\", ""):
        return []
    step = _PLAIN_VARIABLE.sub("$x", step)
    if "${" in step:
        return _GO_SPACE.split(step.replace("\\", ""))
    words: list[str] = []
    word = ""
    quote = ""
    characters = iter(step)
    for character in characters:
        if character == "\\" and quote != "'":
            word += next(characters, "")
        elif quote:
            quote = "" if character == quote else quote
            word += character
        elif character in "'\"":
            quote = character
            word += character
        elif character in _GO_SPACES:
            words.append(word)
            word = ""
        else:
            word += character
    # If a quote is not closed, the lexer gives up and finds no here-document.
    return [] if quote else [word for word in (*words, word) if word]


_RULES: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda step: not step, "is empty"),
    (
        lambda step: "\n" in step or "\r" in step,
        "contains a newline or a carriage return, after which another instruction would begin",
    ),
    (
        lambda step: step[0] in _GO_SPACES or step[-1] in _GO_SPACES,
        "begins or ends with a space that the Dockerfile parser drops and a shell does not",
    ),
    (lambda step: step.endswith("\\"), "ends with a backslash, which would join it with the next step"),
    (lambda step: step.startswith("--"), "begins with '--', which the builder would take for a flag"),
    (_is_exec_form, "begins with a JSON list, which the builder would take for the exec form"),
    (
        _has_heredoc,
        "contains a here-document ('<<' after a blank, outside quotes), which would swallow the following steps",
    ),
    (
        lambda step: len(_RUN) + len(step.encode()) > MAX_DOCKERFILE_LINE_BYTES,
        f"is longer than {MAX_DOCKERFILE_LINE_BYTES - len(_RUN)} bytes, the parser's limit for a line",
    ),
)
"""Checked in this order: later rules rely on earlier ones."""
