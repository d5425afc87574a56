from typing import Any

from darkfuse.plan.search._ways import Ways

class Tiler:
    """Prices tiled groups of one network; `plan.search.tiled.tiler` makes one."""

    def __init__(self, pieces: list[tuple[Any, ...]], leaves: list[tuple[Any, ...]],
                 roots: list[tuple[Any, ...]], entry: int, input_root: int, near: int, threads: int,
                 far_ms: float, input_ms: float, input_tile: float, batch: int) -> None: ...
    def price(self, b: int, grids: list[tuple[tuple[int, int], str]], across: int, limit: int,
              worth: dict[int, tuple[int, int]], ways: Ways, streams: bool) -> None:
        """Add to `ways` how to run groups that end before piece `b`, over grids of its last map.

        Parameters
        ----------
        grids : list of (grid, cache)
        across : int
            Bytes alive whatever the group does.
        limit : int
            Bytes; ways beyond are left out.
        worth : dict of int to (int, int)
            First pieces of groups wanted; and stage bytes (weights left out) from which on there is something
            at least as good, whatever the kernels, and with direct kernels.
        streams : bool
            Only ways that read the largest weights for every tile; else only ways that do not.
        """
    def strips(self, a: int, b: int, grid: tuple[int, int], cache: str, streams: bool) -> list[int]:
        """Per piece of the group [a, b), the strip of its Winograd kernel; -1 where another is as fast."""
