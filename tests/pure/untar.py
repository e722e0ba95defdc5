"""`TarDecoder` as a function: chunks of an archive -> its members, each with its content."""

from lightrunner.rules.tarstream import Member, TarDecoder

from .feeding import Chunks

Entry = tuple[Member, bytes]


def untar(chunks: Chunks) -> list[Entry]:
    """Decode a whole archive."""
    decoder = TarDecoder()
    members: list[Member] = []
    contents: list[bytes] = []
    for chunk in chunks:
        for item in decoder.feed(chunk):
            if isinstance(item, Member):
                members.append(item)
                contents.append(b"")
            else:
                assert item, "an empty piece"
                contents[-1] += item
    decoder.close()
    return list(zip(members, contents, strict=True))


def untar_one(data: bytes) -> Entry:
    """Decode an archive of one member."""
    (entry,) = untar([data])
    return entry
