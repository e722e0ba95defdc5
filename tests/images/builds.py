"""What builds did and left on a daemon, read without the library; and short requests with steps."""

import json
import time
from typing import Any, cast

from lightrunner import Progress, RunRequest
from lightrunner.rules.limits import CACHE_KIND, CACHE_REPOSITORY, LABEL_KIND
from tools.raw_engine import SUCCESS, RawEngine

REMOVAL_TIMEOUT = 30.0
"""Seconds for what a daemon does behind the back of a client that has hung up."""


def with_steps(image: str, *steps: str, script: str = "true", **fields: Any) -> RunRequest:
    """A request with setup steps, whose output is captured. The steps may have a network, the run has none."""
    fields = {"network": "none", "capture_output": True, **fields}
    return RunRequest(image=image, run=steps, entrypoint=script, **fields)


class Lines:
    """A progress callback that keeps what it gets, and when."""

    def __init__(self) -> None:
        self.messages: list[Progress] = []
        self.times: list[float] = []

    def __call__(self, message: Progress) -> None:
        """Keep a message."""
        self.messages.append(message)
        self.times.append(time.monotonic())

    @property
    def texts(self) -> list[str]:
        """The messages' texts: a build's lines."""
        return [message.status for message in self.messages]

    def time_of(self, text: str) -> float:
        """When a line came."""
        return self.times[self.texts.index(text)]


class Daemon:
    """One daemon, since the object was made."""

    def __init__(self, raw: RawEngine) -> None:
        self.raw = raw
        self._since = time.time()
        self._containers = self._container_ids()

    def actions(self) -> list[str]:
        """Each event as "container create", in order."""
        events = self.raw.events(self._since, time.time())
        return [f"{event['Type']} {event['Action']}" for event in events]

    def forget_actions(self) -> None:
        """Leave out what happened until now."""
        self._since = time.time()

    def images(self) -> list[dict[str, Any]]:
        """The images that are labelled as cache images, those without a tag included."""
        filters = json.dumps({"label": [f"{LABEL_KIND}={CACHE_KIND}"]})
        images: list[dict[str, Any]] = self.raw.get("/images/json", filters=filters)
        return images

    def tags(self) -> list[str]:
        """The cache images' names."""
        names: list[str] = [name for image in self.raw.images() for name in cast("list[str]", image["RepoTags"] or [])]
        return [name for name in names if name.startswith(f"{CACHE_REPOSITORY}:")]

    def remove_images(self) -> None:
        """Remove all of them, by every name that they have."""
        for tag in self.tags():
            self._remove_image(tag)
        for image in self.images():
            self._remove_image(image["Id"])

    def assert_no_containers(self) -> None:
        """Whatever containers builds had are gone, at once or in a moment."""
        deadline = time.monotonic() + REMOVAL_TIMEOUT
        while left := self._container_ids() - self._containers:
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.1)

    def _container_ids(self) -> set[str]:
        return {container["Id"] for container in self.raw.containers()}

    def _remove_image(self, name: str) -> None:
        self.raw.request("DELETE", f"/images/{name}", query={"force": 1}, ok={*SUCCESS, 404})
