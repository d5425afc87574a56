"""Sharing a process's memory out: interpreter and libraries, picture, arena.

The promise of `--mem` is about the whole process as the kernel counts it (VmHWM), so everything that is not
the arena is measured or reserved before the arena gets the rest.
"""

from __future__ import annotations

from dataclasses import replace

from darkfuse.errors import BudgetError, DarkfuseError
from darkfuse.host import process
from darkfuse.host.record import dataclass
from darkfuse.host.units import format_bytes, parse_bytes

# What Pillow takes in the process that decodes or draws: its code and tables, and what decoding leaves behind
PILLOW_BYTES = 10 << 20
# A second interpreter with Pillow in it, beyond the pages it shares with this one
HELPER_BYTES = 12 << 20
# What decoding takes in this process beside the pixels: code that was not used before, buffers of files
DECODE_BYTES = 1 << 20
# What a second process may take for pixels however little is left: its interpreter takes less than reserved
LEAST_ROOM = 1 << 20
# A sixteenth of the process, less so much, is for a picture's pixels; never less than a decoder takes that
# gives a camera's picture row by row. Small processes need the rest more: they keep no picture whole.
PICTURE_PART, PICTURE_LESS = 16, 1 << 20
PICTURE_BYTES = 1 << 19
# The least for a picture that is kept is the network's input, up to so much: larger ones come row by row
ROWS_BYTES = 2 << 20
# Below this a process with Pillow in it would leave the arena too little: at 256 MB YOLOv2 would have to read
# 18 MB for each frame, 0.9 s of a card, where a second process starts in 0.1 s and only if it is needed
HELPED_BELOW = 320 << 20
# What still comes after the baseline is measured: code that was not used before (1.2 MB), detections and text
# (a thousand boxes take 300 kB), a touched stack a thread; for each layer its plan, tables of its operations
# and tiles, and what laying them out leaves in Python's heap: most in the least memory, where maps are run in
# stripes
SLACK_BYTES = 9 << 18
LAYER_BYTES = 14 << 10
# What comes back, once a network runs, of the code and heap that loading it leaves behind (`held_bytes`) ...
BACK_BYTES = 3 << 19
# ... in a process with no more code in memory than this. One that has loaded other libraries (OpenCV, numpy)
# uses their pages again at times we cannot know, so nothing of it is given back
CODE_BYTES = 9 << 20
THREAD_BYTES = 32 << 10
# What the loop around a camera grows by after its first frame: the decoder's packets, text of a frame's boxes
VIDEO_BYTES = 1 << 20
# How far two measurements of one and the same process lie apart
JITTER_BYTES = 1 << 18
# Beyond the least anything fits in: buys twice the speed, for there the largest layers do without Winograd
SPARE_BYTES = 2 << 20
# ... and so that each further thread, up to four, can have filters of its own: 240 ms become 200 with two
SPARE_THREAD_BYTES = 3 << 20
# What a frame touches beside the arena: where there is swap, the rest of the interpreter's heap goes there.
# In 12 MB the first 16 layers of YOLOv2 wait for no page with 7.25 MB of arena, and for 700 a frame with 8.25
TOUCHED_BYTES = 9 << 19
# A bare number below this was meant in other units
NO_PROCESS = 1 << 17
# More than any machine has
NO_LIMIT = 1 << 62


@dataclass(frozen=True)
class Budget:
    """Bytes for the parts of a process.

    Attributes
    ----------
    total : int or None
        Of the whole process; None when there is no limit.
    most : int or None
        What `total` may be raised to where nothing fits it.
    input_bytes : int
        Of the network's input as 8-bit RGB: smaller ones are kept, but for those beyond `ROWS_BYTES`.
    slack : int
        What the process grows by beside arena and picture.
    video : bool
        Whether pixels come from buffers this process already holds, so that none are decoded or kept.
    spare : int
        What is taken beyond the least, where that is asked for.
    named : bool
        Whether somebody said how much; else it is a part of what happens to be free.
    elastic : bool
        Whether it may become another while the process runs: nothing may stay behind in it then.
    """

    total: int | None
    most: int | None = None
    input_bytes: int = 0
    slack: int = SLACK_BYTES
    video: bool = False
    spare: int = SPARE_BYTES
    named: bool = True
    elastic: bool = False

    @property
    def picture(self) -> int | None:
        """Of pixels handed to the network; a larger picture is brought to the network's size."""
        if self.total is None:
            return None
        return 0 if self.video else max(self.least_picture, self.total // PICTURE_PART - PICTURE_LESS)

    @property
    def least_picture(self) -> int:
        """Of pixels handed to the network, however little there is."""
        return max(min(self.input_bytes, ROWS_BYTES), PICTURE_BYTES)

    @property
    def helped(self) -> bool:
        """Whether pictures are decoded and drawn, and plans searched, in a process of their own."""
        return self.total is not None and (self.video or self.elastic or self.total < HELPED_BELOW)

    def arena(self, spent: int) -> int | None:
        """What is left for the engine when `spent` bytes are taken by what is already loaded."""
        return None if self.total is None else self.total - self.peak(spent, 0)

    def peak(self, spent: int, arena: int) -> int:
        """Most the process will take, with an arena of that size on top of `spent`."""
        picture = self.picture or 0
        pillow = 0 if self.helped else PILLOW_BYTES + 4 * picture // 3
        return spent + picture + pillow + self.slack + arena

    def needs(self, spent: int, arena: int) -> int:
        """The least total that leaves this arena beside `spent` bytes."""
        fixed = spent + self.slack + arena
        if self.video:
            return fixed
        least = max(fixed + self.least_picture, -(-(fixed - PICTURE_LESS) * 16 // 15))  # as `picture` has it
        if least < HELPED_BELOW or self.elastic:
            return least
        fixed += PILLOW_BYTES  # in this process then, with work for another four thirds of the picture
        return max(HELPED_BELOW, fixed + 7 * self.least_picture // 3 + 1,
                   -(-(fixed - 7 * PICTURE_LESS // 3) * 48 // 41) + 1)

    def raised(self, spent: int, arena: int, what: str) -> Budget:
        """The budget with little more than the least total that leaves this arena.

        Parameters
        ----------
        spent : int
            Resident bytes before planning.
        arena : int
            The least the network's own memory can be.
        what : str
            How to call the network.

        Raises
        ------
        BudgetError
            That is more than `most`; the message says how much it is, and what takes it.
        """
        total, most = self.needs(spent + JITTER_BYTES, arena), self.most or 0
        if total <= most:
            spare = min(self.spare, self._beyond(arena)) if most == NO_LIMIT else self.spare
            total = min(total + spare, most)
            return replace(self, total=total, most=total)
        may = not self.named and process.may_swap()
        swaps = "; --mem small runs it all the same, and swaps" if may else ""
        there = format_bytes(most) if most == self.total else f"the {format_bytes(most)} there are"
        what_else = "Python, OpenCV and the video" if self.video else "Python, libraries and the picture"
        raise BudgetError(
            f"{what} does not fit in {there}: the least that works is {format_bytes(total)}, "
            f"{format_bytes(arena)} of it for the network's maps and weights and "
            f"{format_bytes(total - arena)} for {what_else}{swaps}"
        )

    def _beyond(self, arena: int) -> int:
        """How many bytes more than `arena` the arena can have before any of it would have to be swapped."""
        free = process.free_bytes()
        if free is None:
            return NO_LIMIT
        if process.may_swap():
            free += (process.anonymous_bytes() or 0) - TOUCHED_BYTES
        else:
            free -= self.slack + (self.picture or 0)
        return max(0, free - arena)

    def room(self, helper: bool) -> int | None:
        """Bytes there are for decoding or drawing a picture as things stand now, None for any number.

        `helper`: in a second process; its interpreter and Pillow are taken off.
        """
        if self.total is None:
            return None
        held = (process.rss_bytes() or 0) + (self.picture or 0) + (HELPER_BYTES if helper else DECODE_BYTES)
        return max(LEAST_ROOM if helper else 0, self.total - held)

    def fits_beside(self) -> bool:
        """Whether decoding or drawing fits beside everything this process holds now."""
        if self.total is None or self.picture is None or not self.helped:
            return True  # no limit, or kept free when the arena was sized
        pixels = self.picture + 4 * self.picture // 3
        return (process.rss_bytes() or 0) + HELPER_BYTES + pixels <= self.total


def process_budget(mem: str | int | None, input_bytes: int, layers: int = 32, threads: int = 1,
          video_bytes: int | None = None, beside_bytes: int = 0) -> Budget:
    """Work out the budget of a process.

    Parameters
    ----------
    mem : str, int or None
        `'48M'` or bytes for the whole process; `'resident'` for no limit; `'min'` for the least that any plan
        fits, whatever there is, and `'small'` for a little more where there is that, up to twice as fast;
        None for half of what the machine, or its memory cgroup, has free, and for more of it where nothing
        fits that.
    input_bytes : int
        Of the network's input as 8-bit RGB.
    layers, threads : int
        Of the network, and to run it with.
    video_bytes : int, optional
        For frames from buffers already held: what showing them will still take. No pictures are decoded.
    beside_bytes : int
        What else the process will still take.

    Raises
    ------
    DarkfuseError
        `mem` is not an amount.
    """
    if mem == "resident":
        return Budget(None)
    if mem in ("min", "small"):
        total, most = 0, NO_LIMIT
    elif mem is None:
        free = process.free_bytes()
        if free is None:
            return Budget(None)
        taken = process.rss_bytes() or 0
        total, most = free // 2 + taken, free + taken
    else:
        total = most = parse_bytes(mem) if isinstance(mem, str) else int(mem)
        if total <= 0:
            raise DarkfuseError(f"mem={mem} is no amount of memory; write it like '48M'")
        if total < NO_PROCESS and str(mem).strip().isdigit():
            raise DarkfuseError(f"--mem {mem} is {mem} bytes, and no process is as small; was {mem}M meant?")
    slack = SLACK_BYTES + layers * LAYER_BYTES + threads * THREAD_BYTES + beside_bytes
    if video_bytes is not None:
        slack += VIDEO_BYTES + video_bytes
    spare = 0 if mem == "min" else SPARE_BYTES + min(threads - 1, 3) * SPARE_THREAD_BYTES
    return Budget(total, most, input_bytes, slack, video_bytes is not None, spare,
                  mem is not None)


def split_range(mem: str | int | None) -> tuple[int, int] | None:
    """(least, most) bytes of an elastic budget, `'32M..128M'`; None for any other.

    Raises `DarkfuseError` when it is one that makes no sense.
    """
    if not isinstance(mem, str) or ".." not in mem:
        return None
    least, most = (parse_bytes(part) for part in mem.split("..", 1))
    if least >= most:
        raise DarkfuseError(f"--mem {mem}: the least comes first, like 32M..128M")
    return least, most


def give_back_imports(budget: Budget) -> None:
    """Return the code that importing ran and running will not: what loading takes would come on top of it.

    Where nobody named a budget the cfg may still.
    """
    if (budget.helped or not budget.named) and not budget.video and _only_ours():
        from darkfuse.engine._engine import give_back

        give_back()


def held_bytes(budget: Budget) -> int:
    """What this process holds that it will hold while the network runs, before its arena.

    Loading leaves pages behind, of code that is not needed again and of the heap: 4 MB that are given back
    where nothing but the network is loaded. Where memory is short they do not count either.
    """
    held = process.rss_bytes() or 0
    if not _only_ours():
        return held
    from darkfuse.engine._engine import give_back

    give_back()
    if not budget.helped or budget.video:
        return held
    return min(held, (process.rss_bytes() or 0) + BACK_BYTES)


def _only_ours() -> bool:
    """Whether no more code is in memory than darkfuse's own."""
    code = process.file_rss_bytes()
    return code is not None and code <= CODE_BYTES


def cache_is_free(arena: int, weights: int) -> bool:
    """Whether the page cache may keep weights that are streamed, as storage cards are slow.

    It may where the system has memory to spare beside an arena and weights of so many bytes. In a memory
    cgroup, or on a board that is full, that cache would push out something else.
    """
    free = process.free_bytes()
    return free is not None and free > arena + 2 * weights
