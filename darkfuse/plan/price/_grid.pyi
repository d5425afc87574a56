from collections.abc import Sequence

class ConvCost:
    """What a convolution costs on one device, by one kernel, whatever the regions it computes.

    Milliseconds: `pixel` of the output (direct kernels); `tile` of 4x4 pixels, `step` of a tile through
    Winograd's products, `walk` for all filters of a strip; `wait` for weights that come from memory;
    `meeting` of the team. For a tile of what does not stay within `near` bytes: `far` for writing the
    transformed input, `held` bytes, `again` for reading it for each panel, `sums` for a panel's products.
    `filters`: bytes of those transformed at a time, 0 where only the transformed input counts; `one_pass`:
    these are all there are.
    `parts` : of each panel's tiles, where a team has too few panels. `pixels` : held in registers, or tiles.
    """

    def __init__(self, winograd: bool, pixel: float = 0.0, tile: float = 0.0, step: float = 0.0,
                 walk: float = 0.0, far: float = 0.0, again: float = 0.0, sums: float = 0.0,
                 wait: float = 0.0, meeting: float = 0.0, held: float = 0.0, near: float = 0.0,
                 filters: float = 0.0, one_pass: bool = True, parts: int = 1, pixels: int = 1) -> None: ...
    def ms(self, rows: Sequence[tuple[int, int]], columns: Sequence[tuple[int, int]], strip: int) -> float:
        """Over a grid of regions: heights and widths, as (size, how many); Winograd tile rows at a time, 0
        for all."""
