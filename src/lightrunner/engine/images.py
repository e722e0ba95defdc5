"""Images: one short method per operation, each named after its operation id."""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from urllib.parse import quote, urlencode

from . import wire
from .calls import TAR, Calls, Filters, filters_text
from .progress import ProgressMessage


class Images:
    """The image operations of `EngineClient`."""

    _calls: Calls

    async def image_inspect(self, image: str) -> wire.ImageInspectResponse:
        """An image's configuration.

        Raises:
            EngineNotFound: it is not here.
        """
        reply = await self._calls.call("image_inspect", "GET", f"/images/{quote(image, safe='/:@')}/json")
        return wire.decode(wire.IMAGE_INSPECT, "image_inspect", reply)

    async def image_list(self, *, filters: Filters | None = None) -> list[wire.ImageSummary]:
        """Images that have a name, or that the filters choose."""
        reply = await self._calls.call("image_list", "GET", "/images/json", query={"filters": filters_text(filters)})
        return wire.decode(wire.IMAGE_LIST, "image_list", reply)

    async def image_pull(
        self,
        name: str,
        *,
        tag: str,
        platform: str | None = None,
        on_progress: Callable[[ProgressMessage], object] | None = None,
    ) -> None:
        """Pull an image (operation ImageCreate). `tag` is a tag or a digest; without one all tags would come."""
        query = {"fromImage": name, "tag": tag, "platform": platform}
        await self._calls.progress("image_create", "/images/create", query=query, on_progress=on_progress)

    async def image_import(
        self,
        body: bytes | AsyncIterable[bytes],
        *,
        repo: str,
        tag: str,
        changes: Sequence[str] = (),
        on_progress: Callable[[ProgressMessage], object] | None = None,
    ) -> str:
        """Make an image of a root file system in a tar archive (operation ImageCreate, fromSrc).

        Args:
            body: the archive.
            repo: the name of the image.
            tag: its tag.
            changes: Dockerfile instructions such as ``ENV A=b``.
            on_progress: gets each message.

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
        """Build an image by the classic builder, and give it the tag where that succeeds.

        Cancel it by cancelling the call: the daemon kills and removes the container of the step that runs.

        Args:
            context: a tar archive with a Dockerfile.
            tag: ``name:tag``.
            labels: of the image.
            platform: of the image.
            on_progress: gets each message.

        Raises:
            EngineResponseError: a step failed; `status` is then its exit code, where the daemon tells it.
        """
        query = {
            "t": tag,
            "labels": wire.encode(labels or {}).decode(),
            "platform": platform,
            "rm": True,
            "forcerm": True,  # also where a step fails
        }
        await self._calls.progress(
            "image_build", "/build", query=query, on_progress=on_progress, body=context, headers=TAR
        )

    async def image_tag(self, image: str, *, repo: str, tag: str) -> None:
        """Give an image one more name."""
        path = f"/images/{quote(image, safe='/:@')}/tag"
        await self._calls.call("image_tag", "POST", path, query={"repo": repo, "tag": tag})

    async def image_delete(
        self, image: str, *, force: bool = False, no_prune: bool = False
    ) -> list[wire.ImageDeleteItem]:
        """Remove a name of an image, and with its last one the image.

        Raises:
            EngineConflict: a container uses it.
        """
        query = {"force": force, "noprune": no_prune}
        reply = await self._calls.call("image_delete", "DELETE", f"/images/{quote(image, safe='/:@')}", query=query)
        return wire.decode(wire.IMAGE_DELETE, "image_delete", reply)
