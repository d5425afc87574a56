"""Pictures looked at several at a time, so that each read of weights serves them all."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from darkfuse.detect.candidate import Candidate
from darkfuse.detect.decode import candidates, decode
from darkfuse.detect.types import Result
from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.host.units import format_bytes
from darkfuse.session.budget import VIDEO_BYTES, Budget
from darkfuse.session.choose import Chosen, Wishes, choose, choose_batch
from darkfuse.session.choose import within as rung_within
from darkfuse.session.inputs import as_file_or_array
from darkfuse.session.looking import Looking
from darkfuse.session.pictures import Crowded, Pictures
from darkfuse.session.seen import Seen

if TYPE_CHECKING:
    from darkfuse.graph import Graph
    from darkfuse.media.picture import Picture
    from darkfuse.model.dialect import Dialect
    from darkfuse.plan.types import Plan
    from darkfuse.session.still import Still

MOST = 64  # pictures at a time, where nobody said how many: more save little


def batch_wish(batch: str | int | None) -> int | None:
    """Pictures at a time from a number or 'auto', which is None. Raises DarkfuseError."""
    if batch is None or batch == "auto":
        return None
    if not str(batch).isdecimal() or not 1 <= int(batch) <= 256:
        raise DarkfuseError(f"batch {batch!r} is no number of pictures, 1 to 256, nor 'auto'")
    return int(batch)


class Asked(NamedTuple):
    """What a network was loaded for: the budget before it was raised to what a plan needs, the plan that was
    given, and whether each picture's own size is run (see `session.native`)."""

    budget: Budget
    plan: Plan | str | None
    native: bool


class Waiting(NamedTuple):
    """A picture of a batch: its size and path, and what the caller gave."""

    width: int
    height: int
    path: str
    source: Any
    bgr: bool


class Batches(Looking):
    """`detect_each` of `Network`, which brings the engine."""

    graph: Graph
    budget: Budget
    rungs: tuple[Chosen, ...]
    plan: Plan
    plan_origin: str
    dialect: Dialect
    names: tuple[str, ...]
    words: tuple[int, ...] = ()  # of the classes asked for, of a word tree: `map=` of a .data file
    hier: float = 0.5  # how probable a word must be for more special ones to be looked at
    stats: dict[str, Any]
    _engine: Any
    _detects: bool
    _wishes: Wishes
    _asked: Asked
    _chosen: Chosen
    _pictures: Pictures
    _decoding: tuple[bool, bool]
    _batched: Plan  # for several pictures
    _planned: int  # pictures at hand that it was made for
    _filmed = False  # planned for what a film leaves
    _still: Still | None = None

    def __repr__(self) -> str:
        size, budget = self.graph.input, self._chosen.budget.total
        return (f"<Network {self.graph.path}: {len(self.graph.nodes)} layers, {size.w}x{size.h}, "
                f"{len(self.names)} names, {format_bytes(budget) if budget else 'no'} budget>")

    def detect_each(self, images: Sequence[Any], thresh: float | None = None, nms: float | None = None,
                    letterbox: bool | None = None, nms_kind: str | None = None,
                    bgr: bool = False) -> Iterator[Seen | ImageError]:
        """Find objects in many pictures, as many at a time as is fastest in the memory there is.

        The answers are those of one after another. Pictures and options are those of `detect`.

        Yields
        ------
        Result or ImageError
            For each picture, in order; an error for one that cannot be read.
        """
        most, answers = self._use_batches(len(images)), (thresh, nms, letterbox, nms_kind)
        for start in range(0, len(images), most):
            part = images[start : start + most]
            yield from self._one_by_one(part, answers, bgr) if most == 1 else self._batch(part, answers, bgr)

    def _one_by_one(self, images: Sequence[Any], answers: tuple[Any, ...],
                    bgr: bool) -> Iterator[Seen | ImageError]:
        for image in images:
            try:
                thresh, nms, letterbox, kind = answers
                yield self.detect(image, thresh, nms, letterbox, kind, bgr)
            except ImageError as error:
                yield error

    def _batch(self, images: Sequence[Any], answers: tuple[Any, ...], bgr: bool) -> list[Seen | ImageError]:
        engine = self._batch_engine()
        seen: list[Waiting | ImageError] = []
        found: list[Seen | ImageError] = []
        try:
            for image in images:
                try:
                    with as_file_or_array(image, bgr) as (given, source):
                        width, height, path = self._wait(given, answers[2])
                    seen.append(Waiting(width, height, path if given is source else "", source,
                                        bgr and source is image))
                except ImageError as error:
                    seen.append(error)
                if self._batch_engine() is not engine:  # decoding needed the arena's room
                    return list(self._one_by_one(images, answers, bgr))
            count = sum(isinstance(one, Waiting) for one in seen)
            if count:
                self._finish(count)
        except BaseException:
            engine.abandon()
            raise
        number = 0
        for one in seen:
            if isinstance(one, Waiting):
                try:
                    result = self._boxes(one.width, one.height, one.path, answers, number, batch=True)
                    found.append(Seen(**vars(result), source=one.source, bgr=one.bgr))
                except ImageError as error:
                    found.append(error.with_traceback(None))  # its frames hold maps of the arena
                number += 1
            else:
                found.append(one)
        for place, answer in enumerate(found):
            if isinstance(answer, Crowded):  # alone, the arena makes room for its boxes
                (found[place],) = self._one_by_one(images[place : place + 1], answers, bgr)
        return found

    def keep_to(self, total: int) -> int:
        """From now on keep to the largest of an elastic budget's steps within `total` bytes, else the least.

        The arena is given back at once. Gives the step's bytes, 0 where there is no limit.
        """
        rung = rung_within(self.rungs, total)
        if rung.budget is not self.budget:
            from darkfuse.engine._engine import give_back

            self._use(rung)
            give_back(self._team())
        return self.budget.total or 0

    def _use(self, chosen: Chosen) -> None:
        """Run by another plan, within another budget, from the next frame on."""
        self.close()
        self.plan, self.budget, self.plan_origin, _ = self._chosen = chosen
        self._batched, self._planned, self._still = self.plan, 1, None
        # Beside a film picture files can still be read, in what room there is at the time
        budget = dataclasses.replace(self.budget, video=False) if self._filmed else self.budget
        self._pictures = Pictures(self.graph, budget, self.close, self._team, *self._decoding)

    def _beside_film(self, frame_bytes: int) -> None:
        """Plan anew for what OpenCV and frames leave of a budget that somebody asked for.

        Raises `BudgetError` when that is too little.
        """
        if self._filmed or not self.budget.named or self.budget.total is None or self.budget.elastic \
                or self.plan_origin == "given":
            return
        slack = self.budget.slack + VIDEO_BYTES + 2 * frame_bytes
        budget = dataclasses.replace(self.budget, slack=slack, video=True)
        self._asked, self._filmed = self._asked._replace(budget=budget), True
        self._use(choose(self.graph, budget, self._wishes._replace(pictures=1)))
        self.rungs = (self._chosen,)

    def candidates(self, image: Any, thresh: float, letterbox: bool) -> list[Candidate]:
        """A picture's boxes before any is suppressed, those without a class above the threshold too: what
        Darknet's `get_network_boxes` gives. Boxes are fractions of the picture."""
        width, height, _ = self._see(image, self._fit(letterbox))
        raw = {index: self._engine.output(index) for index in self.graph.outputs}
        return candidates(self.graph, raw, width, height, thresh, letterbox, (), self.hier, True)[0]

    def _use_batches(self, pictures: int) -> int:
        """Plan for so many pictures; how many there will be at a time."""
        wished = self._wishes.pictures if self._wishes.fixed else within(pictures)
        wished = min(wished, pictures)
        if wished < 2 or self._asked.native:
            return 1
        if self._planned < wished:  # a plan for more serves fewer: the end of a list
            self.close()  # the search has the arena's room
            plan = choose_batch(self.graph, self._chosen, self._wishes._replace(pictures=wished))
            self._batched, self._planned = plan if plan is self.plan else named(plan, self.plan), wished
        return self._batched.batch

    def _boxes(self, width: int, height: int, path: str, answers: tuple[Any, ...],
               picture: int = 0, batch: bool = False) -> Result:
        """Boxes of the picture, or one picture of the batch, that has run; `answers`: thresh, nms, letterbox,
        nms_kind. Raises `ImageError` where there are more of them than the budget has room for."""
        thresh, nms, letterbox, nms_kind = answers
        thresh = self.dialect.thresh if thresh is None else thresh
        nms = self.dialect.nms if nms is None else nms
        for name, value in (("thresh", thresh), ("nms", nms)):
            if not 0 <= value <= 1:
                raise DarkfuseError(f"{name}={value} is not between 0 and 1")
        if not self._detects:
            warnings.warn(f"{self.graph.path}: no [region] or [yolo] layer: it runs, but finds nothing",
                          stacklevel=2)
            return Result((), width, height, path, self.stats["latency_ms"] / 1000)
        raw = {index: self._engine.output(index, picture) for index in self.graph.outputs}

        def room(labels: int, needed: int, decoded: bool) -> None:
            if not self._pictures.has_room(needed) and decoded and not batch:
                raw.clear()
                self.close()
            if not self._pictures.has_room(needed):
                raise self._pictures.too_many(path, labels)

        letterboxed = self._fit(letterbox) == "letterbox"
        return decode(self.graph, raw, width, height, thresh, nms, letterboxed, self.names or None, path,
                      self.stats["latency_ms"] / 1000, nms_kind, self.words, self.hier, room)

    def _fit(self, letterbox: bool | None) -> str:
        """How pictures get the network's shape: as asked for, else as the dialect does."""
        letterbox = self.dialect.letterbox if letterbox is None else letterbox
        return "letterbox" if letterbox else "stretch"

    def stand_still(self, noise: int = 0) -> bool:
        """From here on arrays given to `detect` are frames of a camera that does not move.

        What did not change since the last one is not computed again, where all maps fit in the memory there
        is; else only frames that did not change at all are passed over. The boxes are those of whole frames
        with the same plan.

        Parameters
        ----------
        noise : int
            Levels of 255 by which a pixel may differ from what was last seen and count as unchanged; with
            more than 0 boxes may be those of a few frames ago.

        Returns
        -------
        bool
            Whether all maps fit.
        """
        from darkfuse.plan.search.still import still_plan
        from darkfuse.session.still import Still

        self.close()
        arena = self._chosen.arena
        room = None if arena is None else max(arena, self.plan.arena_bytes)
        plan = still_plan(self.graph, self.plan, room)
        self._still = Still(self.graph, plan or self.plan, noise)
        return plan is not None

    @property
    def _still_plan(self) -> Plan | None:
        return self._still.plan if self._still else None

    def _show(self, engine: Any, picture: Picture, fit: str, more: bool) -> None:
        """Run the engine on a picture, `more`: one of a batch; or on what has changed in it."""
        if self._still is None or more or picture.pixels is None:
            if self._still is not None and not more:
                self._still.forget(engine)
            self._pictures.run(engine, picture, fit, more)
            self._note(engine)
            return
        self._still.run(engine, picture, fit, lambda seen: self._pictures.run(engine, seen, fit))
        self._note(engine)
        if not self._still.ran:
            self.stats.update(latency_ms=0.0, bytes_read=0, macs=0)

    def _batch_engine(self) -> Any:
        """The engine for batches, made where it is not there."""
        return self._running((), self._batched)

    def _wait(self, image: Any, letterbox: bool | None) -> tuple[int, int, str]:
        """Run the first group on a picture, which waits for the others; its width, height and path."""
        return self._see(image, self._fit(letterbox), self._batched)

    def _team(self) -> int:
        """How many threads beside this one are the network's own: its team, and who reads for a batch."""
        return self.plan.threads - 1 + (self._engine.readers if self._engine is not None else 0)

    def _finish(self, count: int) -> None:
        """Run the rest for the pictures that wait."""
        self._pictures.trim()
        self._engine.finish()
        self._pictures.trim()
        self._note(self._engine)
        self.stats = shares(self.stats, count)

    # -- the network's part ---------------------------------------------------------------------------

    def close(self) -> None:
        """Give the arena back."""
        raise NotImplementedError

    def _see(self, image: Any, fit: str, batch: Plan | None = None) -> tuple[int, int, str]:
        """Run on a picture; with a plan for a batch, it waits for others."""
        raise NotImplementedError

    def _running(self, extra: tuple[int, ...], plan: Plan | None = None) -> Any:
        """The engine for a plan."""
        raise NotImplementedError

    def _note(self, engine: Any) -> None:
        """Keep the numbers of what has run."""
        raise NotImplementedError


def within(pictures: int) -> int:
    """Pictures to plan for, of so many at hand: lists of near lengths have one plan."""
    return min(MOST, 1 << max(0, pictures.bit_length() - 1)) if pictures > 1 else 1


def shares(stats: dict[str, Any], count: int) -> dict[str, Any]:
    """Numbers of a batch as those of each of its pictures."""
    parts = {name: value / count if name == "latency_ms" else value // count
             for name, value in stats.items() if name in ("latency_ms", "bytes_read", "macs")}
    return {**stats, **parts, "batch": count}


def named(plan: Plan, like: Plan) -> Plan:
    """A plan for batches with the budget of the one it stands beside."""
    more = max(0, plan.arena_bytes - like.arena_bytes)
    return dataclasses.replace(plan, budget_bytes=like.budget_bytes,
                               predicted_peak_bytes=like.predicted_peak_bytes + more)
