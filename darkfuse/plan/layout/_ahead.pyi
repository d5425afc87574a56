from collections.abc import Sequence

from darkfuse.plan.program import Buffer, Landing, Weights

MOST_LANDINGS: int  # of one layer: more reads at a time help nobody

def landings_of(buffers: Sequence[Buffer], weights: Sequence[Weights], until: dict[int, int],
                arena: int) -> list[tuple[Landing, ...]]:
    """Landings for the reads of each layer: first its own slots, then others, the earliest first.

    Parameters
    ----------
    buffers : sequence of Buffer
        With offsets. Those named by `Weights.raw` are the layers' own slots.
    weights : sequence of Weights
    until : dict
        By number in `weights`, the last step in which reads of that layer may arrive.
    arena : int
        Bytes.

    Returns
    -------
    list of tuple of Landing
        One for each of `weights`; no landing of a layer lies over another.
    """
