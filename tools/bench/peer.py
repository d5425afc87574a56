"""What a runtime has to offer to be measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Forward = Callable[[], "list[np.ndarray]"]  # one frame; a (channels, height, width) map for each head


@dataclass(frozen=True)
class Job:
    """One network at one size: the files every peer's model is made from, and where they go.

    Attributes
    ----------
    cfg : str
        The cfg with `size` written into it.
    weights : str
        Darknet's file.
    folder : str
        Where :meth:`Peer.prepare` put its files.
    size : int
        Rows and columns of the input.
    seed : int
        Of the noise that is the picture.
    batch : int
        Pictures of each frame, all alike; what is given back is the first one's maps.
    """

    cfg: str
    weights: str
    folder: str
    size: int
    seed: int
    batch: int = 1

    def file(self, name: str) -> str:
        return str(Path(self.folder) / name)


class Peer:
    """A runtime in one configuration. One process is started for each."""

    module = ""  # what must be importable
    batches = False  # whether it takes several pictures at a time

    def __init__(self, variant: str = "") -> None:
        self.variant = variant

    def version(self) -> str:
        """Version of the runtime; raises ImportError, or DarkfuseError where it cannot do the work."""
        raise NotImplementedError

    def prepare(self, job: Job) -> None:
        """Write the model files this peer wants, if any; done in a process of its own."""

    def start(self, job: Job, threads: int) -> Forward:
        """Load the model for `threads` threads."""
        raise NotImplementedError
