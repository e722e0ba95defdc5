"""The operations on images: one short method each, named after its operation id."""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from urllib.parse import quote, urlencode

from . import wire
from .calls import TAR, Calls, Filters, filters_text
from .progress import ProgressMessage
from .registries import RegistryAuth, auth_header, registry_of


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
        headers = () if auth is None else ((b"X-Registry-Auth", auth_header(auth, registry_of(name))),)
        await self._calls.progress(
            "image_create", "/images/create", query=query, on_progress=on_progress, headers=headers
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
