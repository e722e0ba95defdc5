"""Setup steps on a real engine: what its own builder makes of them.

Invariant: as in `fuzz.dockerfiles`. Two looks at it: the engine's parser alone, asked by an instruction that does not
exist behind the step (it is reported at its line, or something has swallowed it); and whole builds, from an image whose
shell is a program that prints what it is to run.
"""

import io
import json
import re
import tarfile
from http import HTTPStatus

from fuzz.dockerfiles import accepted
from lightrunner.rules.dockerfile import dockerfile
from tools.images import ensure_busybox
from tools.raw_engine import RawEngine

_PRINTER = "lightrunner-test/printer:1"
_ID = "(?:sha256:)?[0-9a-f]{12,64}"


class BuilderChecks:
    """The checks that need an engine."""

    def __init__(self, host: str) -> None:
        self._raw = RawEngine(host)
        self._busybox = ensure_busybox(self._raw)
        shell = json.dumps(["/bin/busybox", "printf", "%s\n"])
        self._build(f"FROM {self._busybox}\nSHELL {shell}\n".encode(), tag=_PRINTER)

    def check_parser(self, steps: list[str]) -> None:
        """Behind each accepted step the next line is a line of its own."""
        for step in accepted(steps):
            status, answer = self._build(dockerfile(self._busybox, (step,)) + b"NOTHING that exists\n")
            assert status == HTTPStatus.BAD_REQUEST
            assert re.search(r"parse error (on )?line 3: unknown instruction: NOTHING", answer), answer

    def check_build(self, steps: list[str]) -> None:
        """A build of accepted steps makes one container per step, and its shell gets the step's text."""
        taken = accepted(steps)
        if not taken:
            return
        _, answer = self._build(dockerfile(_PRINTER, taken))
        output = "".join(json.loads(line).get("stream", "") for line in answer.split("\r\n") if line)
        total = len(taken) + 1
        pattern = rf"Step 1/{total} : FROM {_PRINTER}\n ---> {_ID}\n"
        for number, step in enumerate(taken, 2):
            pattern += rf"Step {number}/{total} : RUN {re.escape(step)}\n ---> Running in {_ID}\n{re.escape(step)}\n"
            pattern += rf"(?:Removing| ---> Removed) intermediate container {_ID}\n ---> {_ID}\n"
        match = re.fullmatch(rf"{pattern}Successfully built ({_ID})\n", output)
        assert match is not None, answer
        self._raw.request("DELETE", f"/images/{match[1]}")

    def _build(self, content: bytes, *, tag: str = "") -> tuple[int, str]:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo("Dockerfile")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        status, answer = self._raw.request(
            "POST",
            "/build",
            query={"t": tag, "rm": 1, "forcerm": 1, "nocache": 1},
            body=archive.getvalue(),
            headers={"Content-Type": "application/x-tar"},
            ok={HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR},
        )
        return status, answer.decode()
