"""Files that are there whole or not at all, and files that lines are added to: everything darkfuse writes.

A whole file is written beside its place under a name nobody can foresee, forced to storage, and renamed; who
looks sees the old file or the new one. A part is locked while its writer lives, so that what a killed writer
left is told apart from what another is writing, and goes when somebody writes into the folder again.

A target that is no regular file (a device, a pipe, a socket, an open descriptor like `/dev/stdout`) is
written through: it stays what it is. A symbolic link stays a link; the file it names is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from typing import IO, Any, Callable, NamedTuple

from darkfuse.errors import DarkfuseError

_MARK = ".darkfuse-"  # then 16 hexadecimal digits, `.part`, and the ending a library asks for
_DESCRIPTORS = ("/dev/std", "/dev/fd/", "/proc/")
_SAMPLES, _SAMPLE = 16, 64  # of a file that is to be recognised, and bytes of each
_LONGEST = 200  # bytes kept of a name in its part's name: file systems allow 255
_parts: set[str] = set()
_swept: set[str] = set()


class WholeFile:
    """A context that writes a file; it takes its place at the end, and not at all after an exception.

    Parameters
    ----------
    path : str
        Where it goes; `-` is standard output.
    what : str
        What it is in a message, like `the JSON`.
    kind : type of DarkfuseError
        What is raised when it cannot be written.
    ending : str
        Of the part's name, for libraries that look at it. Such a file is written by its name, `part`.
    check : callable, optional
        Called with the part's path before it takes its place; raises `kind` when it is not whole.

    Raises
    ------
    DarkfuseError
        On entering, writing or leaving: PATH: cannot write WHAT, and why.
    """

    def __init__(self, path: str, what: str = "the file", kind: type[DarkfuseError] = DarkfuseError,
                 ending: str = "", check: Callable[[str], None] | None = None) -> None:
        self.path, self.part = os.fspath(path), ""
        self._what, self._kind, self._ending, self._check = what, kind, ending, check
        self._target, self._file = "", None  # type: tuple[str, IO[bytes] | None]

    def __enter__(self) -> WholeFile:
        try:
            self._open()
        except OSError as error:
            self.drop()
            raise self._failed(error) from None
        except BaseException:
            self.drop()
            raise
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.drop()

    @property
    def file(self) -> IO[bytes]:
        """Where its bytes go, for a library that writes to a file object."""
        if self.path == "-":
            return sys.stdout.buffer
        assert self._file is not None, "not entered, or left already"
        return self._file

    def write(self, data: str | bytes) -> None:
        """Add bytes, or text as UTF-8; what a cfg held that is no UTF-8 comes out as it was."""
        try:
            if self.path == "-" and isinstance(data, str):
                sys.stdout.write(data)
            else:
                self.file.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(error) from None

    def commit(self) -> None:
        """Put it in its place; afterwards there is nothing left to do or to undo."""
        file = self._file
        if file is None:  # standard output
            return
        try:
            file.flush()
            if self.part:
                size, written = os.fstat(file.fileno()).st_size, file.tell()
                if written and size != written:
                    raise OSError(errno.EIO, f"{size} bytes are there of {written}")
                if self._check is not None:
                    self._check(self.part)
                os.fsync(file.fileno())
                os.replace(self.part, self._target)
                self._keep_name()
            file.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(error) from None
        finally:
            self.drop()

    def drop(self) -> None:
        """Undo all of it: what was there before stays."""
        part, file, self.part, self._file = self.part, self._file, "", None
        if part:
            with contextlib.suppress(OSError):
                os.remove(part)
            _parts.discard(part)
        if file is not None:
            with contextlib.suppress(OSError):  # what is still in its buffer is not wanted any more
                file.close()

    def _open(self) -> None:
        if self.path == "-":
            return
        if not self.path:
            raise OSError(errno.ENOENT, "the name is empty")
        there = None
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(self.path)
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise OSError(errno.EISDIR, "it is a folder")
        regular = there is None or stat.S_ISREG(there.st_mode)
        if not regular or os.path.abspath(self.path).startswith(_DESCRIPTORS):
            if self._ending:
                raise OSError(errno.EINVAL, "it is no regular file")
            self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY), "wb")
            return
        self._target = os.path.realpath(self.path)
        if there is not None and not os.access(self._target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        folder, name = os.path.split(self._target)
        sweep(folder)
        self._file = os.fdopen(self._create(folder, name), "wb")
        if there is not None:
            os.fchmod(self._file.fileno(), stat.S_IMODE(there.st_mode))

    def _create(self, folder: str, name: str) -> int:
        """Make the part and lock it; one that was swept before it was locked is made anew."""
        short = os.fsdecode(os.fsencode(name)[:_LONGEST])
        while True:
            self.part = os.path.join(folder, f"{short}{_MARK}{os.urandom(8).hex()}.part{self._ending}")
            _parts.add(self.part)
            descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            _lock(descriptor)
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)
            _parts.discard(self.part)

    def _keep_name(self) -> None:
        """Have the folder's new entry survive a power cut too, where the file system can be asked to."""
        with contextlib.suppress(OSError):
            folder = os.open(os.path.dirname(self._target), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _failed(self, error: OSError) -> DarkfuseError:
        return failed(self.path, self._what, error, self._kind)


class Lines:
    """A file that grows by whole lines, for people who follow it while it is written.

    A line that storage has no room for is taken back, so that each line there is whole. With `append` it goes
    on after what is there, on a line of its own; otherwise it begins anew. `-` is standard output.

    Raises
    ------
    DarkfuseError
        When it cannot be opened or written: PATH: cannot write WHAT, and why.
    """

    def __init__(self, path: str, what: str = "JSON lines", append: bool = False) -> None:
        self.path, self._what, self._descriptor = os.fspath(path), what, -1
        if self.path == "-":
            return
        kind = os.O_APPEND | os.O_CREAT | os.O_NOCTTY | (0 if append else os.O_TRUNC)
        try:
            self._descriptor = os.open(self.path, os.O_WRONLY | kind, 0o666)
            self._regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            self._torn = append and self._regular and self._ends_in_a_line()
        except OSError as error:
            self.close()
            raise failed(self.path, what, error) from None

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, line: str) -> None:
        """Add a line, given without its end."""
        try:
            if self.path == "-":
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
                return
            data = ("\n" * self._torn + line + "\n").encode("utf-8", "surrogateescape")
            before = os.fstat(self._descriptor).st_size if self._regular else 0
            try:
                while data:
                    data = data[os.write(self._descriptor, data):]
            except OSError:
                if self._regular:
                    os.ftruncate(self._descriptor, before)
                raise
            self._torn = False
        except BrokenPipeError:
            raise
        except OSError as error:
            raise failed(self.path, self._what, error) from None

    def close(self) -> None:
        """No more lines."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _ends_in_a_line(self) -> bool:
        with open(self.path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            return file.read(1) not in (b"", b"\n")


class Stamp(NamedTuple):
    """What a file system says of a file that changes with its bytes, and not with its names."""

    device: int
    inode: int
    size: int
    changed_ns: int


def stamp(descriptor: int) -> Stamp:
    """Of an open file. Raises OSError."""
    there = os.fstat(descriptor)
    return Stamp(there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns)


def identity(descriptor: int) -> tuple[Stamp, bytes]:
    """What an open file is known by later: its stamp, and samples of its bytes, for the time of change may
    have been set back, as `cp -p` does. Raises OSError."""
    seen = stamp(descriptor)
    with contextlib.suppress(AttributeError, OSError):  # samples alone, and not what the system reads ahead
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    starts = range(0, max(1, seen.size - _SAMPLE), max(1, (seen.size - _SAMPLE) // _SAMPLES))
    samples = b"".join(os.pread(descriptor, _SAMPLE, start) for start in starts)
    with contextlib.suppress(AttributeError, OSError):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_NORMAL)
    return seen, samples


def failed(path: str, what: str, error: OSError,
           kind: type[DarkfuseError] = DarkfuseError) -> DarkfuseError:
    """The error to raise when `path`, which holds `what`, cannot be written."""
    where = "standard output" if path == "-" else path or "''"
    return kind(f"{where}: cannot write {what}: {error.strerror or error}")


def write_whole(path: str, data: str | bytes, what: str = "the file",
                kind: type[DarkfuseError] = DarkfuseError) -> None:
    """Write a file that is there whole or not at all; raises as `WholeFile`."""
    with WholeFile(path, what, kind) as file:
        file.write(data)


def sweep(folder: str) -> None:
    """Remove the parts that killed writers left in a folder; once for each folder in a process."""
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for path in [entry.path for entry in entries if _is_part(entry.name)]:
            with contextlib.suppress(OSError):  # another's, or gone already
                descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    if stat.S_ISREG(os.fstat(descriptor).st_mode) and _lock(descriptor):
                        os.remove(path)
                finally:
                    os.close(descriptor)


def drop_all() -> None:
    """Remove the parts of this process, which ends without unwinding."""
    for part in list(_parts):
        with contextlib.suppress(OSError):
            os.remove(part)


def _is_part(name: str) -> bool:
    digits, dot, ending = name.rpartition(_MARK)[2].partition(".part")
    return bool(_MARK in name and dot and len(digits) == 16 and not digits.strip("0123456789abcdef")
                and "." not in ending[1:])


def _lock(descriptor: int) -> bool:
    """Whether the file is now locked by us. Where a file system has no locks nothing is, or is swept."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
