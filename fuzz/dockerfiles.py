"""Setup steps and image references, read back by the engine's own parser.

Invariant: what the validator accepts is read as FROM and exactly one RUN per step, without flags, with the step's text
unchanged. What it refuses it refuses with its own error. What people write it does not refuse.
"""

import re

from fuzz.oracle import meant, read
from fuzz.refusal import unless_refused
from lightrunner.rules.dockerfile import StepViolation, check_steps, dockerfile
from lightrunner.rules.names import parse_image
from lightrunner.rules.violation import RuleViolation

_CONTINUED = re.compile(rb"\\[ \t]*$", re.MULTILINE)


def accepted(steps: list[str]) -> tuple[str, ...]:
    """The steps as the validator returns them; none where it refuses."""
    return unless_refused(StepViolation, check_steps, "run", steps) or ()


def check_step_list(steps: list[str]) -> None:
    """An accepted list reads as it was meant, and so does a step that follows it."""
    if taken := accepted(steps):
        assert taken == tuple(step.strip(" \t") for step in steps)
        content = dockerfile("image", (*taken, "the last"))
        assert read(content) == meant("image", (*taken, "the last"))
        # Docker 20.10's parser goes on with the next line behind an escaped backslash, too. The oracle's does not.
        assert _CONTINUED.search(content) is None


def check_harmless(step: str) -> None:
    """A command that people write is accepted, and the parser agrees that it is harmless."""
    assert check_steps("run", [step]) == (step,)
    check_step_list([step])


def check_image(text: str) -> None:
    """An accepted reference is the one word of FROM."""
    if image := unless_refused(RuleViolation, parse_image, "image", text):
        assert image.text == text
        assert read(dockerfile(image.text, ("a step",))) == meant(text, ("a step",))
