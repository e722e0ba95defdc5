"""The tools: their names, what a language model is told about them, and their arguments. Pure."""

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

LanguageName = Literal["python", "javascript", "ruby", "php", "sh"]

_Language = Annotated[
    LanguageName | None, Meta(description="The language of the code; it decides the image. Give this or image.")
]
_Image = Annotated[
    str | None, Meta(description="A container image, such as golang:1.25-alpine, in place of the language's own.")
]
_Files = Annotated[
    dict[str, str], Meta(description="More text files for the working directory, by relative path: {path: content}.")
]
_Timeout = Annotated[
    float | None, Meta(description="Seconds until it is killed. The server has a default and a maximum.")
]
_SandboxId = Annotated[str, Meta(description="The id that start_sandbox returned.")]


class RunCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of ``run_code``."""

    code: Annotated[str, Meta(description="The whole program. With an image and no language: a shell script.")]
    language: _Language = None
    image: _Image = None
    files: _Files = {}
    input: Annotated[str | None, Meta(description="What the program reads from stdin.")] = None
    timeout: _Timeout = None


class StartSandbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of ``start_sandbox``."""

    language: _Language = None
    image: _Image = None
    files: _Files = {}


class Exec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of ``exec``."""

    sandbox: _SandboxId
    command: Annotated[str, Meta(description="A shell command line.")]
    input: Annotated[str | None, Meta(description="What the command reads from stdin.")] = None
    timeout: _Timeout = None


class WriteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of ``write_file``."""

    sandbox: _SandboxId
    path: Annotated[str, Meta(description="In the sandbox; a relative path starts at the working directory.")]
    content: Annotated[str, Meta(description="The whole text of the file.")]


class ReadFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of ``read_file``."""

    sandbox: _SandboxId
    path: Annotated[str, Meta(description="In the sandbox; a relative path starts at the working directory.")]


class StopSandbox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of ``stop_sandbox``."""

    sandbox: _SandboxId


Arguments = RunCode | StartSandbox | Exec | WriteFile | ReadFile | StopSandbox


class ToolSpec(NamedTuple):
    """A tool, as a client lists it.

    Attributes:
        name: what it is called by.
        kind: its arguments.
        description: when to use it, and what comes back.
    """

    name: str
    kind: type[Arguments]
    description: str

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments, an object without references at its root."""
        (root,), definitions = msgspec.json.schema_components([self.kind], ref_template="#/$defs/{name}")
        name = str(root["$ref"]).rpartition("/")[2]
        schema = dict(definitions.pop(name))
        schema.pop("title", None)
        schema.pop("description", None)
        return {**schema, "$defs": definitions} if definitions else schema


TOOLS = (
    ToolSpec(
        "run_code",
        RunCode,
        "Run a program once in a new container that is removed afterwards, and return what ended it, its exit code, "
        "stdout and stderr. Nothing is kept between calls: use start_sandbox for several steps. Memory, CPU, processes "
        "and time are limited; long output is cut in the middle. Code has the network only if the user allowed it.",
    ),
    ToolSpec(
        "start_sandbox",
        StartSandbox,
        "Start a container that stays for several commands, and return its id. Files and background processes are kept "
        "between commands until stop_sandbox, or until it has not been used for a while.",
    ),
    ToolSpec(
        "exec",
        Exec,
        "Run a shell command in a sandbox, and return what ended it, its exit code, stdout and stderr. Long output is "
        "cut in the middle.",
    ),
    ToolSpec(
        "write_file", WriteFile, "Write a text file in a sandbox, with the folders that lead to it, or replace one."
    ),
    ToolSpec(
        "read_file",
        ReadFile,
        "Return a text file of a sandbox, up to 256 KiB. Use exec with head, tail or sed for parts of longer ones.",
    ),
    ToolSpec("stop_sandbox", StopSandbox, "Remove a sandbox with all its files and processes."),
)

TOOLS_BY_NAME = {tool.name: tool for tool in TOOLS}
