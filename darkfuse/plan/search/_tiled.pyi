from typing import Any

class Tiler:
    """Prices tiled groups of one network; `plan.search.tiled.tiler` makes one."""

    def __init__(self, pieces: list[tuple[Any, ...]], leaves: list[tuple[Any, ...]],
                 roots: list[tuple[Any, ...]], entry: int, input_root: int, near: int, threads: int,
                 far_ms: float, input_ms: float, input_tile: float, batch: int) -> None: ...
    def groups(self, b: int, grid: tuple[int, int], cache: str, across: int, limit: int,
               longest: int) -> list[tuple[int, int, int, int, int, float, float, float]]:
        """Groups that end before piece `b`, over a grid of its last map, from the shortest on to one of
        `longest` pieces, or until the line buffers alone leave no room for more within `limit` bytes.
        `across` are bytes alive whatever the group does. Each as a `plan.search.tiled.Tiled`."""
    def strips(self, a: int, b: int, grid: tuple[int, int], cache: str) -> list[int]:
        """Per piece of the group [a, b), the strip of its Winograd kernel; -1 where another is as fast."""
