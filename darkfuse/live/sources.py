"""The pictures of a collection: folders, lists and tar files, one after another, never all in memory."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from darkfuse.errors import DarkfuseError

TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
LISTS = (".txt", ".list")


class Item(NamedTuple):
    """A picture: its name in the results, and a file, or what is in one."""

    name: str
    image: str | bytes

    @property
    def mark(self) -> int:
        """64 bits of its name: by them shards are told apart, and what is done already."""
        return int.from_bytes(blake2b(os.fsencode(self.name), digest_size=8).digest(), "little")


def items(sources: Iterable[str], endings: tuple[str, ...]) -> Iterator[Item]:
    """Every picture of the sources, in an order that is the same each time.

    Parameters
    ----------
    sources : iterable of str
        Folders (with all below them), tar files, lists (.txt) of paths, one a line, and pictures.
    endings : tuple of str
        Of the names of pictures in folders and tar files, in lower case.

    Raises
    ------
    DarkfuseError
        A source cannot be read.
    """
    for source in sources:
        try:
            if os.path.isdir(source):
                yield from _folder(source, endings)
            elif source.lower().endswith(TARS):
                yield from _tar(source, endings)
            elif source.lower().endswith(LISTS):
                with open(source, encoding="utf-8", errors="surrogateescape") as lines:
                    names = (line.rstrip("\r\n") for line in lines)
                    yield from (Item(name, name) for name in names if name.strip())
            else:
                yield Item(source, source)
        except (OSError, tarfile.TarError, EOFError) as error:
            why = getattr(error, "strerror", None) or error
            raise DarkfuseError(f"{source}: cannot be read: {why}") from None


def _folder(top: str, endings: tuple[str, ...]) -> Iterator[Item]:
    def refuse(error: OSError) -> None:
        raise error

    for folder, below, names in os.walk(top, onerror=refuse):
        below.sort()
        for name in sorted(names):
            if name.lower().endswith(endings) and not name.startswith("."):
                path = os.path.join(folder, name)
                yield Item(path, path)


def _tar(path: str, endings: tuple[str, ...]) -> Iterator[Item]:
    with tarfile.open(path, "r|*") as shard:  # as it comes: a compressed one cannot be sought in
        for member in shard:
            if member.isfile() and member.name.lower().endswith(endings):
                file = shard.extractfile(member)
                yield Item(f"{path}:{member.name}", file.read() if file else b"")
