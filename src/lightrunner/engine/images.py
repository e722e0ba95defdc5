"""The operations on images: one short method each, named after its operation id."""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from urllib.parse import quote, urlencode

from . import wire
from .calls import TAR, Calls, Filters, filters_text
from .progress import ProgressMessage
from .registries import NO_AUTH, RegistryAuth, auth_headers


class Images:
    """The image operations of `EngineClient`."""

    _calls: Calls

    async def image_inspect(self, image: str) -> wire.ImageInspectResponse:
        """Return an image's configuration.

        Raises:
            EngineNotFound: the daemon does not have the image.
        """
        reply = await self._calls.call("image_inspect", "GET", f"/images/{quote(image, safe='/:@')}/json")
        return wire.decode(wire.IMAGE_INSPECT, "image_inspect", reply)

    async def image_list(self, *, filters: Filters | None = None) -> list[wire.ImageSummary]:
        """Return the images that have a name, or those that match the filters."""
        reply = await self._calls.call("image_list", "GET", "/images/json", query={"filters": filters_text(filters)})
        return wire.decode(wire.IMAGE_LIST, "image_list", reply)

    async def image_pull(
        self,
        name: str,
        *,
        tag: str,
        platform: str | None = None,
        auth: RegistryAuth | None = None,
        on_progress: Callable[[ProgressMessage], object] | None = None,
    ) -> None:
        """Pull an image (operation ImageCreate). Cancelling the call cancels the pull.

        Args:
            name: the image's name, without tag or digest.
            tag: a tag or a digest; without one, the daemon would pull all tags.
            platform: the image's platform, if it is not the daemon's.
            auth: the credentials for the image's registry; None: log in nowhere.
            on_progress: called with each message.

        Raises:
            EngineResponseError: the daemon or the registry refused. For bad credentials, the status is 500 on 20.10
                and 401 on 28.
        """
        query = {"fromImage": name, "tag": tag, "platform": platform}
        await self._calls.progress(
            "image_create", "/images/create", query=query, on_progress=on_progress, headers=auth_headers(auth, name)
        )

    async def image_import(
        self,
        body: bytes | AsyncIterable[bytes],
        *,
        repo: str,
        tag: str,
        changes: Sequence[str] = (),
        on_progress: Callable[[ProgressMessage], object] | None = None,
    ) -> str:
        """Create an image from a root file system in a tar archive (operation ImageCreate, fromSrc).

        Args:
            body: the archive.
            repo: the name of the image.
            tag: the tag of the image.
            changes: Dockerfile instructions, such as ``ENV A=b``.
            on_progress: called with each message.

        Returns:
            The image's id.
        """
        query = urlencode({"fromSrc": "-", "repo": repo, "tag": tag})
        query += "".join(f"&changes={quote(change, safe='')}" for change in changes)
        path = f"/images/create?{query}"
        last = await self._calls.progress("image_create", path, on_progress=on_progress, body=body, headers=TAR)
        return last.status if last else ""

    async def image_build(
        self,
        context: bytes | AsyncIterable[bytes],
        *,
        tag: str,
        labels: Mapping[str, str] | None = None,
        platform: str | None = None,
        on_progress: Callable[[ProgressMessage], object] | None = None,
    ) -> None:
        """Build an image with the classic builder. It gets the tag if the build succeeds.

        Cancelling the call cancels the build: the daemon kills and removes the container of the running step.

        Args:
            context: a tar archive with a Dockerfile.
            tag: ``name:tag``.
            labels: the labels of the image.
            platform: the platform of the image; None: the daemon's.
            on_progress: called with each message.

        Raises:
            EngineResponseError: a step failed; `status` is the step's exit code, if the daemon sends it.
        """
        query = {
            "t": tag,
            "labels": wire.encode(labels or {}).decode(),
            "platform": platform,
            "rm": True,
            "forcerm": True,  # also after a failed step
        }
        await self._calls.progress(
            "image_build", "/build", query=query, on_progress=on_progress, body=context, headers=TAR
        )

    async def image_commit(
        self, container: str, body: wire.ImageConfig, *, repo: str = "", tag: str = "", pause: bool = True
    ) -> str:
        """Create an image from a container's files, without its volumes, and return its id.

        Args:
            container: the container's id or name.
            body: the image's configuration; what is unset, and labels and variables that it does not name, are the
                container's.
            repo: a name for the image; empty: none.
            tag: the name's tag.
            pause: freeze the container meanwhile. The daemon refuses to freeze a paused container.
        """
        query = {"container": container, "repo": repo or None, "tag": tag or None, "pause": pause}
        reply = await self._calls.call("image_commit", "POST", "/commit", query=query, json=body)
        return wire.decode(wire.IMAGE_COMMIT, "image_commit", reply).id

    async def image_tag(self, image: str, *, repo: str, tag: str) -> None:
        """Give an image one more name, ``repo:tag``.

        Raises:
            EngineNotFound: the daemon does not have the image.
        """
        path = f"/images/{quote(image, safe='/:@')}/tag"
        await self._calls.call("image_tag", "POST", path, query={"repo": repo, "tag": tag})

    async def image_push(
        self,
        name: str,
        *,
        tag: str,
        auth: RegistryAuth | None = None,
        on_progress: Callable[[ProgressMessage], object] | None = None,
    ) -> None:
        """Push an image to the registry that its name begins with. Cancelling the call cancels the push.

        Args:
            name: the image's name, without its tag.
            tag: the tag, which the image has on the daemon.
            auth: the credentials for the registry; None: log in nowhere.
            on_progress: called with each message.

        Raises:
            EngineNotFound: the daemon does not have the image.
            EngineResponseError: the daemon or the registry refused.
        """
        await self._calls.progress(
            "image_push",
            f"/images/{quote(name, safe='/:')}/push",
            query={"tag": tag},
            on_progress=on_progress,
            headers=auth_headers(auth, name) or NO_AUTH,
        )

    async def distribution_inspect(self, image: str, *, auth: RegistryAuth | None = None) -> str:
        """Ask an image's registry for the digest of its manifest. The daemon does the asking.

        Raises:
            EngineNotFound: the registry has no such image.
            EngineResponseError: the registry refused; a registry that does not tell strangers what it has also does so
                for an image that is not there. The status is 500 on 20.10, and the registry's on newer ones.
        """
        path = f"/distribution/{quote(image, safe='/:@')}/json"
        name = image.partition("@")[0]
        reply = await self._calls.call("distribution_inspect", "GET", path, headers=auth_headers(auth, name))
        return wire.decode(wire.DISTRIBUTION_INSPECT, "distribution_inspect", reply).descriptor.digest

    async def image_delete(
        self, image: str, *, force: bool = False, no_prune: bool = False
    ) -> list[wire.ImageDeleteItem]:
        """Remove a name of an image, and with its last name the image. Return what was untagged and deleted.

        Raises:
            EngineNotFound: the daemon does not have the image.
            EngineConflict: a container uses it.
        """
        query = {"force": force, "noprune": no_prune}
        reply = await self._calls.call("image_delete", "DELETE", f"/images/{quote(image, safe='/:@')}", query=query)
        return wire.decode(wire.IMAGE_DELETE, "image_delete", reply)
