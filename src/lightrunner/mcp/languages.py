"""The languages that code can be in: an image and a command of each. Pure."""

from typing import NamedTuple

from lightrunner.rules.violation import RuleViolation


class Language(NamedTuple):
    """How to run a file of code.

    Attributes:
        image: an image that has the program.
        program: it is called with the file's name.
        file: the file's name, in the workdir.
    """

    image: str
    program: str
    file: str


LANGUAGES = {
    "python": Language("python:3.12-alpine", "python", "main.py"),
    "javascript": Language("node:22-alpine", "node", "main.js"),
    "ruby": Language("ruby:3.4-alpine", "ruby", "main.rb"),
    "php": Language("php:8.4-cli-alpine", "php", "main.php"),
    "sh": Language("alpine:3.22", "sh", "main.sh"),
}


def with_images(images: dict[str, str]) -> dict[str, Language]:
    """Return the languages with other images for some.

    Raises:
        RuleViolation: there is no such language.
    """
    for name in images:
        if name not in LANGUAGES:
            raise RuleViolation("language", name, f"not one of {', '.join(LANGUAGES)}")
    return {name: language._replace(image=images.get(name, language.image)) for name, language in LANGUAGES.items()}
