from darkfuse.plan.program import Landing

class Storage:
    """What storage does in a frame, beside the team.

    Attributes
    ----------
    now : float
        Milliseconds since the frame began.
    reading : float
        Milliseconds storage was busy so far.
    waiting : float
        Milliseconds the team waited for it.
    """

    now: float
    reading: float
    waiting: float

    def begin(self, steps: int) -> None:
        """So many steps of the program begin now."""

    def layer(self, landings: tuple[Landing, ...], size: int, resident: int, reads: int, at_once: int,
              each: float, read_ms: float) -> None:
        """One layer of `reads` reads of `size` bytes and `read_ms` each, the first `resident` of them there
        already; the team takes `each` milliseconds for `at_once` of them, once they have arrived."""

    def state(self) -> tuple[float, float, float, float]:
        """Milliseconds: now, when storage falls idle, its reading so far, and the team's waiting."""

    def again(self, times: int) -> None:
        """All that happened between the last two calls of `state`, so many times more."""

    def lain(self) -> list[tuple[int, int, float, float]]:
        """Where reads lay, and when; as `timeline.Slot`."""
