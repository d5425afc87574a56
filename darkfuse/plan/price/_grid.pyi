from collections.abc import Sequence

class ConvCost:
    """What a convolution costs on one device, by one kernel, whatever the regions it computes.

    Milliseconds: `pixel` of the output (direct kernels); `tile` of 4x4 pixels, `step` of a tile through
    Winograd's products, `walk` for all filters of a strip, `far` for a tile of a transformed input of more
    than `near` bytes, `held` bytes a tile; `wait` for weights that come from memory; `meeting` of the team.
    `parts` : of each panel's tiles, where a team has too few panels. `pixels` : held in registers, or tiles.
    """

    def __init__(self, winograd: bool, pixel: float = 0.0, tile: float = 0.0, step: float = 0.0,
                 walk: float = 0.0, far: float = 0.0, wait: float = 0.0, meeting: float = 0.0,
                 held: float = 0.0, near: float = 0.0, parts: int = 1, pixels: int = 1) -> None: ...
    def ms(self, rows: Sequence[tuple[int, int]], columns: Sequence[tuple[int, int]], strip: int) -> float:
        """Over a grid of regions: heights and widths, as (size, how many); Winograd tile rows at a time, 0
        for all."""
