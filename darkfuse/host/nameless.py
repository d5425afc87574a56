"""Files on disk without a name: gone with the process that opened them, however that ends."""

from __future__ import annotations

import os

_FOLDERS = ("/var/tmp", "/tmp", ".")  # the first is on disk by custom, the second often in memory


def folders() -> list[str]:
    """Folders for temporary files, best first: the environment's TMPDIR goes before the usual ones."""
    own = os.environ.get("TMPDIR")
    return [*([own] if own else ()), *_FOLDERS]


def nameless(folder: str) -> int:
    """A descriptor of a new file without a name. Raises OSError."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(folder, flags | os.O_TMPFILE, 0o600)
    except (AttributeError, OSError):  # not Linux, or a file system that cannot
        name = os.path.join(folder, f".darkfuse-{os.urandom(8).hex()}")
        file = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(name)
        return file
