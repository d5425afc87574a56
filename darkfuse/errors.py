"""Every error darkfuse reports to a person.

The message of each is one finished line: what is wrong, where, and what to do. The command line prints it
as it stands and exits with status 2, so nothing here may hold a line break or need a traceback to be read.
"""

from __future__ import annotations

_LONGEST = 400  # characters of a message; what a file holds is quoted in it, and may be a megabyte


def brief(said: object) -> str:
    """What another error says, as a piece of a message: one line that can be printed, its middle left out."""
    text = str(said)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST // 2]} ... {text[-_LONGEST // 2:]}"
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class DarkfuseError(Exception):
    """Base of all errors darkfuse raises on bad input or impossible requests."""


class CfgError(DarkfuseError):
    """Something in a `.cfg`, `.names` or `.data` file cannot be used.

    Parameters
    ----------
    path : str
        The file as the caller named it.
    line : int
        1-based line number; 0 when the fault belongs to the file as a whole.
    msg : str
        What is wrong there.
    """

    def __init__(self, path: str, line: int, msg: str) -> None:
        self.path = str(path)
        self.line = int(line)
        self.msg = msg if len(msg) <= _LONGEST else f"{msg[:_LONGEST // 2]} ... {msg[-_LONGEST // 2:]}"
        where = f"{self.path}:{self.line}" if self.line > 0 else self.path
        super().__init__(f"{where}: {self.msg}")

    def __reduce__(self) -> tuple[type[CfgError], tuple[str, int, str]]:
        # Exception's own pickling would call CfgError(message); threads and processes hand errors over.
        return type(self), (self.path, self.line, self.msg)


class WeightsError(DarkfuseError):
    """A `.weights` file is missing, has a nonsense header, or does not fit its network."""


class PlanError(DarkfuseError):
    """A plan is malformed or does not belong to the graph it is applied to."""


class ImageError(DarkfuseError):
    """An image, video or camera cannot be read."""


class BudgetError(DarkfuseError):
    """No plan fits the memory asked for; the message says how much would be enough."""


class DownloadError(DarkfuseError):
    """A file cannot be downloaded, or is not the one that was asked for."""


class DatasetError(DarkfuseError):
    """A folder of photos and labels cannot be used."""
