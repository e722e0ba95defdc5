"""Setup steps -> a Dockerfile and the tag of the image that it makes. Pure.

The property that counts: for every list of steps that `check_steps` accepts, the engine's own Dockerfile parser reads
exactly one FROM and one RUN per step, without flags, with the step's text unchanged.
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
# What Go's unicode.IsSpace takes for a space; the parser trims lines by it.
_GO_SPACES = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f"
    "\u205f\u3000"
)
_GO_SPACE = re.compile(f"[{''.join(_GO_SPACES)}]+")
# parser.go, reHeredoc: a word that is digits, "<<", perhaps "-", and no further "<". Since BuildKit 0.22 (Docker 28.2)
# the name may be a word of its own.
_HEREDOC = re.compile(r"[0-9]*<<[^<]+", re.DOTALL)
_HEREDOC_WITHOUT_NAME = re.compile(r"[0-9]*<<-?")
_PLAIN_VARIABLE = re.compile(r"\$\{\w+\}", re.ASCII)
_PLATFORM = re.compile(r"[a-z0-9_]{1,32}(?:/[a-z0-9_]{1,32}(?:/[a-z0-9_.]{1,32})?)?")


class StepViolation(RuleViolation):
    """A setup step breaks a rule. `field` is ``run[<index>]``, with the index from 0."""


def check_steps(field: str, value: object) -> tuple[str, ...]:
    r"""The steps as they go into the Dockerfile: without blanks and tabs at their ends, which mean nothing to a shell.

    The rules, and the hole that each closes (grammar: moby/buildkit, frontend/dockerfile/parser and shell, which is
    the engine's own):

    ==============================  ================================================================================
    text, not empty, UTF-8          ``RUN`` alone is an error; what cannot be encoded cannot be sent
    no newline, carriage return,    the next line would be an instruction of its own; a carriage return at an end is
    NUL                             dropped
    no other space at an end        the parser trims a no-break space, a vertical tab and their like, which a shell
                                    takes for text
    no backslash at the end         the line goes on with the next step; 20.10 takes ``\\`` for that as well, and
                                    blanks behind it do not help
    no leading ``--``               it is a flag: ``--mount``, ``--network``, ``--security``; blanks before it are
                                    skipped by the parser, so this is looked for behind them
    no leading JSON list            it is the exec form, and what follows the list is dropped without a word
    no here-document                ``<<EOF`` swallows the lines that follow, up to one that says EOF; newer engines
                                    read ``<< EOF`` so too, and with it the shift in ``$((1 << 2))``
    at most 65,531 bytes            Go's bufio.Scanner refuses a line of 64 KiB, ``RUN`` included
    ==============================  ================================================================================

    Raises:
        StepViolation: naming the step and the rule.
        RuleViolation: where it is no list.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise RuleViolation(field, value, "not a list of setup steps")
    return tuple(_check_step(f"{field}[{at}]", step) for at, step in enumerate(cast("Sequence[object]", value)))


def check_platform(field: str, value: object) -> str:
    """A platform: ``linux/arm64``, ``linux/arm/v7``."""
    text = check_text(field, value)
    if _PLATFORM.fullmatch(text) is None:
        raise RuleViolation(field, value, "not a platform: os[/architecture[/variant]], such as linux/arm64")
    return text


def dockerfile(image: str, steps: Sequence[str]) -> bytes:
    """The Dockerfile of checked steps on a checked image."""
    return "".join((f"FROM {image}\n", *(f"{_RUN}{step}\n" for step in steps))).encode()


def cache_tag(image: str, steps: Sequence[str], platform: str | None = None) -> str:
    """The tag under which the image of these steps is kept: equal for equal inputs, in every process."""
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
    """parser.go, parseJSON: it decodes one value and does not look at what follows."""
    if not step.startswith("["):  # ``[ -f x ] && y`` is a shell's test, and no JSON
        return False
    try:
        json.JSONDecoder().raw_decode(step)
    except ValueError:
        return False
    except RecursionError:  # Deeper than our decoder goes, not than Go's.
        return True
    return True


def _has_heredoc(step: str) -> bool:
    words = _words(step)
    apart = (f"{word}{name}" for word, name in pairwise(words) if _HEREDOC_WITHOUT_NAME.fullmatch(word))
    return any(_HEREDOC.fullmatch(word) for word in (*words, *apart))


def _words(step: str) -> list[str]:
    """Words, escapes taken off, as the parser's own lexer tells them apart when it looks for here-documents (lex.go).

    Inside quotes there are no words: ``echo "a <<EOF b"`` is harmless. Braces with more than a name (``${x:-"}``) can
    hold quotes and escapes that the lexer takes off before it looks for words, so that in a step with such braces
    neither is trusted: words end at every space there.
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
    # Where a quote stays open the lexer gives up and finds no here-document at all.
    return [] if quote else [word for word in (*words, word) if word]


_RULES: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda step: not step, "is empty"),
    (
        lambda step: "\n" in step or "\r" in step,
        "contains a newline or a carriage return: another instruction would begin behind it",
    ),
    (
        lambda step: step[0] in _GO_SPACES or step[-1] in _GO_SPACES,
        "begins or ends with a space that the Dockerfile parser drops and a shell does not",
    ),
    (lambda step: step.endswith("\\"), "ends with a backslash: the line would go on with the next step"),
    (lambda step: step.startswith("--"), "begins with '--': the builder would take it for a flag"),
    (_is_exec_form, "begins with a JSON list: the builder would take it for the exec form"),
    (
        _has_heredoc,
        "contains a here-document ('<<' behind a blank, outside of quotes): it would swallow the steps that follow",
    ),
    (
        lambda step: len(_RUN) + len(step.encode()) > MAX_DOCKERFILE_LINE_BYTES,
        f"longer than {MAX_DOCKERFILE_LINE_BYTES - len(_RUN)} bytes: the parser refuses the line",
    ),
)
"""In this order: the later ones may rely on the earlier ones."""
