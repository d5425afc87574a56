from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from darkfuse.plan.program import Program

def give_back(team: int = 0) -> int:
    """Let go of memory that comes back by itself when it is used: pages of program files, touched while
    starting, and free pages of the heap. Returns the bytes of files let go.

    Lets go of no files, and returns 0, in a process with other threads than those of `host.quiet` and the
    `team` that an engine has left asleep (they load no libraries meanwhile), and where /proc does not tell
    what is mapped.
    """

class Engine:
    """Runs one program, frame after frame, inside one arena.

    Parameters
    ----------
    program : Program
        From `plan.layout.lower.lower`. Every size and region in it is checked before anything runs.
    weights_path : str
        The Darknet `.weights` file the program's offsets belong to. It stays open until `close`.
    threads : int
        Threads of the team, 1 to `program.threads`. With 1, OpenMP is never started.
    isa : str, optional
        Kernels to use: 'generic', 'avx2', 'avx512', 'neon', 'a53'. Default: DARKFUSE_ISA,
        else the processor's best.
    guard : bool
        For tests: every buffer gets a place of its own between guard bytes that are checked after each frame,
        and starts each frame full of NaNs, so that nothing left behind is ever read unnoticed.
    cached : bool
        Read weights through the page cache and leave them there: fast from the second frame on where the
        system has memory to spare. Default: past the page cache, which a memory cgroup would count.
    known : object, optional
        `host.files.identity` of the file the offsets were made for: another one is refused.
    read_rate : int
        Bytes a second that reads of a frame's weights are held to, as slower storage would; 0: as fast as it
        is. What is read once, when the engine is made, is not held.

    Raises
    ------
    PlanError
        The program could leave its buffers, or `threads` is not what it is laid out for.
    WeightsError
        The weights file cannot be read, ends too soon, or is not the one known.
    BudgetError
        The system refuses the arena.
    """

    def __init__(
        self, program: Program, weights_path: str, threads: int, isa: str | None = None,
        guard: bool = False, cached: bool = False, known: object = None, read_rate: int = 0,
    ) -> None: ...
    def run_image(
        self, pixels: Any, width: int, height: int, letterbox: bool = True, channels: int = 3,
        centres: bool = False, crop: bool = False, more: bool = False,
    ) -> None:
        """Run on a photo: any C-contiguous buffer of (height, width, channels) uint8, grey, RGB or RGBA.

        A network with one channel gets the luma, one with three no alpha, one with four an opaque photo where
        there is no alpha. Scaled to the network's input row by row as the first layer needs it, as Darknet's
        `letterbox_image` and `resize_image` do (`letterbox` false: stretched), with `crop` as its
        `resize_min` and `crop_image`; with `centres` the pixels are OpenCV's `resize`'s. Raises WeightsError
        when weights cannot be read meanwhile, KeyboardInterrupt (or what a signal handler raises) within some
        20 ms of a signal.

        more : the picture is one of a batch, whose other pictures, and then `finish`, follow. As many as the
        program is laid out for can wait.
        """

    def run_rows(self, rows: Any, more: bool = False) -> None:
        """Run on a photo that is decoded meanwhile: a `media` room's `Rows`, made for this network's size.

        Besides what `run_image` raises: what is wrong with the picture, as its rows come to it.
        """

    def run_chw(self, data: Any, more: bool = False) -> None:
        """Run on a float32 buffer (channels, height, width) of the network's own input size."""

    def only(self, parts: Sequence[Sequence[Sequence[tuple[int, int, int, int]]]] | None) -> None:
        """Have the frames to come compute these parts alone of what every operation of every stage writes.

        The rest has to be there already (`plan.layout.still`). None: all of it.
        """

    def finish(self) -> None:
        """Run the rest of the network for every picture of the batch that waits."""

    def abandon(self) -> None:
        """Forget the pictures of a batch that is not to be finished."""

    @property
    def readers(self) -> int:
        """Threads that read weights ahead now: between the pictures of a batch there are some."""

    def output(self, node: int, picture: int = 0) -> memoryview:
        """Layer `node`'s map of the last frame: (channels, height, width), format 'f', read-only.

        Of a batch, that of its picture of that number.

        A view into the arena, overwritten by the next frame. It keeps the arena alive after `close`.
        """

    def stats(self) -> dict[str, Any]:
        """Of the last frame, or batch.

        `latency_ms`, `arena_bytes`, `bytes_read` from the weights file, `macs` executed, `stages_ms` (one per
        stage), `wait_ms` (compute waiting for reads, mean over the threads), `isa`.
        """

    def close(self) -> None:
        """Give back the arena and close the weights file; a closed engine cannot run."""
