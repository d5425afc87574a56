"""The Python face of darkfuse: `load` a network, `detect` in pictures, `forward` plain maps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from darkfuse.detect.decode import decoder, word_tree
from darkfuse.detect.types import Result
from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.graph import Graph, load_graph
from darkfuse.graph.build import DETECTION
from darkfuse.graph.weights import weight_offsets
from darkfuse.host import process
from darkfuse.host.units import parse_rate
from darkfuse.model.locate import DEFAULT_CFG, find_cfg, find_weights
from darkfuse.plan.types import Plan
from darkfuse.session.batches import Asked, batch_wish
from darkfuse.session.budget import cache_is_free, give_back_imports, process_budget, split_range
from darkfuse.session.choose import Chosen, Wishes, choose, ladder, written_plan
from darkfuse.session.inputs import as_picture, check_classifies, check_options, check_pictures, names_of
from darkfuse.session.native import Native, check_native
from darkfuse.session.pictures import Pictures

if TYPE_CHECKING:
    import numpy as np

    from darkfuse.detect.types import Label
    from darkfuse.model.weights import WeightsIndex

# Of the numbers the engine keeps, those in `Network.stats`
COUNTED = ("latency_ms", "arena_bytes", "bytes_read", "macs")


def load(
    cfg: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    mem: str | int | None = None,
    exact: bool = False,
    plan: Plan | str | None = None,
    device: str | None = None,
    names: str | os.PathLike[str] | Sequence[str] | None = None,
    isa: str | None = None,
    video_bytes: int | None = None,
    dialect: str = "auto",
    width: int | None = None,
    height: int | None = None,
    size: str | None = None,
    cache: bool = True,
    ignore_exif: bool = False,
    reduce_pictures: bool = False,
    beside_bytes: int = 0,
    read_bandwidth: str | int | None = None,
    batch: str | int = "auto",
    hier: float = 0.5,
) -> Network:
    """Load a Darknet network.

    Parameters
    ----------
    cfg : path, optional
        The `.cfg`; one that comes with darkfuse can be named alone. Default: its own small model.
    weights : path, optional
        The `.weights`. Default: `weights/<cfg name>.weights` beside the cfg's folder.
    threads : int, optional
        Default: one a physical core.
    mem : str or int, optional
        Memory for the whole process, `"48M"` or bytes. `"min"`: the least this network runs in, even where
        there is less and the rest has to be swapped; `"small"`: a little more, up to twice as fast.
        `"resident"`: everything is kept, the fastest. `"32M..128M"`: begin with the most, see
        `Network.keep_to`. Default: what a plan written in the cfg was made for, else half of what the machine
        (or this process's memory cgroup) has free, and more of it where half is too little.
    exact : bool
        Only kernels that round as Darknet's do, whatever they cost.
    plan : Plan or str, optional
        How to run it instead of searching: a `Plan`, the path of its JSON, or groups like `"5x5/8/2x2"`.
        Default: the one written in the cfg where that fits, else the best there is.
    device : str, optional
        Plan with this device's profile.
    names : path or sequence of str, optional
        Class names, or a file of them (`.names` or `.data`). Default: looked for beside the cfg.
    isa : str, optional
        Instruction set to use instead of the best this processor has: 'generic', 'avx2', 'avx512', 'neon',
        'a53' (neon for cores that issue in order).
    video_bytes : int, optional
        Only arrays from buffers there already, as a camera's, will be handed to `detect`: of `mem` nothing is
        kept free for decoding pictures, but this much for what else the caller will still take.
    dialect : str
        Whose answers to give: 'darknet', 'alexeyab' or 'opencv' (see `model.dialect`). 'auto' judges by the
        cfg's keys; `Network.dialect` says which it is and why.
    width, height : int, optional
        Network size in pixels in place of the cfg's; each must suit the network's strides.
    size : str, optional
        `"native"`: each picture's own, rounded up to what suits the strides (see `session.native`). `graph`
        and `plan` are then those of the last picture, the cfg's size before the first. A picture for which
        nothing fits `mem` is an `ImageError`.
    cache : bool
        Use the plan an earlier start searched for, and leave one for later starts (`session.remember`).
    ignore_exif : bool
        Take pictures as they are stored, as Darknet does, whichever way up the camera was held.
    reduce_pictures : bool
        Reduce a picture that cannot be decoded whole within `mem`, rather than refuse it; `stats` says so.
    beside_bytes : int
        Of `mem`, what the caller will still take beside the network.
    read_bandwidth : str or int, optional
        Bytes a second, `"22M"` or a number, that reads of weights are held to and the plan is made for.
    batch : int or str
        Pictures of a list that share each read of weights; `"auto"`: as many as is fastest within `mem`.
    hier : float
        Of a word tree (YOLO9000): how probable a word must be for more special ones to be looked at.

    Raises
    ------
    CfgError, WeightsError
        A file is missing or wrong; the message says where.
    PlanError, BudgetError
        The plan is not for this network; nothing fits `mem`.
    """
    check_options(threads, isa)
    elastic = split_range(mem)
    most = elastic[1] if elastic else mem
    give_back_imports(process_budget(most, 0, video_bytes=video_bytes))
    read_rate, wish = parse_rate(read_bandwidth), batch_wish(batch)
    cfg_path = find_cfg(os.fspath(cfg) if cfg is not None else DEFAULT_CFG)
    graph = load_graph(cfg_path, width, height, dialect)
    weights_path = os.fspath(weights) if weights is not None else find_weights(cfg_path)
    index = weight_offsets(graph, weights_path)
    # Loaded before the memory left is measured: its code counts too
    import darkfuse.engine._engine
    import darkfuse.media._rows  # noqa: F401

    native = check_native(graph, size, (width, height), wish, mem)
    ours = native or any(one is not None for one in (plan, device, read_rate, elastic))
    written = None if ours else written_plan(graph, threads, exact)
    team = threads or (written.threads if written else process.cpu_count())
    mem = written.budget_bytes or None if mem is None and written else most
    budget = process_budget(mem, graph.input.c * graph.input.h * graph.input.w, len(graph.nodes), team,
                            video_bytes, beside_bytes)
    for kind in {node.kind for node in graph.nodes}.intersection(DETECTION):
        decoder(kind)  # so that it is there when memory is shared out
    wishes = Wishes(team, exact, device, isa, cache, read_rate, wish or 0, wish is not None, index.transposed)
    one = wishes._replace(pictures=1)
    chosen = choose(graph, replace(budget, elastic=elastic is not None), one, plan, written)
    rungs = ladder(graph, chosen, elastic[0], one) if elastic else (chosen,)
    return Network(graph, index, rungs, names_of(graph, weights_path, names), wishes,
                   Asked(budget, plan, native), ignore_exif, reduce_pictures, hier)


class Network(Native):
    """A loaded network. Made by `load`; closes itself at the end of a `with`.

    The arena is allocated when the first frame runs and stays until `close`. Not for several threads at once:
    load the network once for each.

    Attributes
    ----------
    graph : Graph
    plan : Plan
    plan_origin : str
        Where it comes from: 'given', 'from the cfg', 'remembered' or 'searched for'.
    budget : Budget
    rungs : tuple of Chosen
        Plans and budgets there are, smallest first: one, but for an elastic budget.
    dialect : Dialect
        Whose answers the network gives, why, and the defaults that follow from it.
    names : tuple of str
        Class names, empty when none were found.
    stats : dict
        Of the last frame: `latency_ms`, `arena_bytes`, `peak_rss_bytes` (VmHWM; None where the system does
        not tell), `bytes_read` from the weights, `macs` executed. `engine_stats` has what else the engine
        counts.
    """

    def __init__(self, graph: Graph, index: WeightsIndex, rungs: tuple[Chosen, ...], names: tuple[str, ...],
                 wishes: Wishes, asked: Asked, ignore_exif: bool, reduce_pictures: bool, hier: float) -> None:
        self.graph, self.names, self.hier = graph, names, hier
        self.rungs = rungs
        self.plan, self.budget, self.plan_origin, _ = self._chosen = rungs[-1]
        self.dialect = graph.dialect
        self.stats: dict[str, Any] = {}
        self.engine_stats: dict[str, Any] = {}
        self._index, self._wishes, self._asked = index, wishes, asked
        self._batched, self._planned = self.plan, 1
        self._limits = process.Limits()
        self._decoding = ignore_exif, reduce_pictures
        self._pictures = Pictures(graph, self.budget, self.close, self._team, *self._decoding)
        self._detects = any(node.kind in DETECTION for node in graph.nodes)
        self._engine: Any = None
        self._extra: tuple[int, ...] = ()
        self._running_plan = self.plan

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the arena back. The network can still be used; the next frame allocates it again."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _detect(self, image: Any, thresh: float | None, nms: float | None, letterbox: bool | None,
                nms_kind: str | None) -> Result:
        """`detect` in one path or array."""
        size_and_path = self._see(image, self._fit(letterbox))
        return self._boxes(*size_and_path, (thresh, nms, letterbox, nms_kind))

    def classify(self, image: Any, top: int = 5, fit: str | None = None) -> list[Label]:
        """What a picture shows, by a network that classifies.

        Parameters
        ----------
        image : path or array
            As for `detect`.
        top : int
            How many classes to give, best first.
        fit : str, optional
            How the picture gets the network's shape: 'crop' (its short side scaled to the network's width,
            then the middle, as Darknet validates), 'letterbox' or 'stretch'. Default: the dialect's.

        Returns
        -------
        list of Label
            `class_id`, `name` (the number where there is none), `confidence`: the network's own output.

        Raises
        ------
        ImageError
            Not a picture.
        DarkfuseError
            The network has detection layers; `top` is not positive; there is no such fit.
        """
        from darkfuse.detect.classes import best

        fit = self.dialect.classify if fit is None else fit
        check_classifies(self.graph, top, fit)
        self._see(image, fit)
        output = self.graph.node(self.graph.outputs[0])
        return best(self._engine.output(output.index), top, self.names, word_tree(self.graph, output))

    def forward(self, chw: Any, layers: Sequence[int] | None = None) -> dict[int, np.ndarray]:
        """Run the network on a map as it is, and give maps of layers as Darknet has them.

        Parameters
        ----------
        chw : array
            (channels, height, width) float32, the network's input size; for pictures planar RGB, 0..1.
        layers : sequence of int, optional
            Layers wanted. Default: the network's outputs. Region and yolo layers give their activated maps.
            Other layers' maps are kept beside the budget.

        Returns
        -------
        dict of int to ndarray
            (channels, height, width) float32 by layer index.

        Raises
        ------
        DarkfuseError
            The input has another size, or there is no such layer.
        """
        from darkfuse.detect.activated import activated
        from darkfuse.host.extras import need

        np: Any = need("numpy", "Network.forward")

        source, wanted = self.graph.input, tuple(self.graph.outputs if layers is None else layers)
        given = np.ascontiguousarray(chw, np.float32)
        if given.shape != (source.c, source.h, source.w):
            raise DarkfuseError(f"{self.graph.path}: takes (channels, height, width) = "
                                f"({source.c}, {source.h}, {source.w}), not {given.shape}")
        for layer in wanted:
            if not 0 <= layer < len(self.graph.nodes):
                last = len(self.graph.nodes) - 1
                raise DarkfuseError(f"{self.graph.path}: has layers 0..{last}, not {layer}")
        self._limits.check(self.budget.total)
        engine = self._running(tuple(layer for layer in wanted if layer not in self.graph.outputs))
        engine.run_chw(given)
        self._note(engine)
        maps = {}
        for layer in wanted:
            node = self.graph.node(layer)
            shape = node.out_shape
            raw = np.array(engine.output(layer), np.float32).reshape(shape.c, shape.h, shape.w)
            maps[layer] = activated(node, raw, word_tree(self.graph, node)) if node.kind in DETECTION else raw
        return maps

    def draw(self, result: Result, out: str | os.PathLike[str]) -> str:
        """Save the picture `result` came from with its boxes drawn; returns the path written.

        `.jpg` is added to `out` unless it says .jpg or .png. Raises `ImageError`.
        """
        if not result.path:
            raise ImageError("this result came from an array, not from a file: no picture to draw on")
        return self._pictures.draw(result.path, result.marks(), os.fspath(out))

    def stats_line(self) -> str:
        """The last frame's `stats` for people to read."""
        from darkfuse.session.report import stats_line

        return stats_line(self.stats, self.budget.total, self.plan_origin, self.dialect)

    def _see(self, image: Any, fit: str, batch: Plan | None = None) -> tuple[int, int, str]:
        """Run the network on a picture; gives the original's width and height, and its path, empty for an
        array. With a plan for a batch, the picture waits for others.

        Decoded pixels live in here only, as thousands of candidates for boxes may need their room next."""
        check_pictures(self.graph)
        self._limits.check(self.budget.total)
        if self._asked.native:
            self._suit(image)
        path = os.fspath(image) if isinstance(image, (str, os.PathLike)) else ""
        picture = self._pictures.read(path, fit) if path else as_picture(image)
        engine = self._running((), batch or self._still_plan)
        self._show(engine, picture, fit, batch is not None)
        if self._asked.native:
            self.stats["network_size"] = self.graph.input.w, self.graph.input.h
        if picture.reduced:
            self.stats["reduced_to"] = (picture.width, picture.height)
        return picture.original_width, picture.original_height, path

    def _running(self, extra: tuple[int, ...], plan: Plan | None = None) -> Any:
        """The engine, for another plan if need be, with the maps of `extra` layers kept for reading."""
        plan = plan or self.plan
        if self._engine is not None and not (set(extra) <= set(self._extra) and plan is self._running_plan):
            self.close()
        if self._engine is None:
            from darkfuse.engine._engine import Engine, give_back
            from darkfuse.plan.layout.lower import lower

            program = lower(self.graph, plan, extra, self._index)
            if self.budget.helped:
                give_back(self._team())  # what planning, a decoder and drawing touched
            self._engine = Engine(program, self._index.path, plan.threads, self._wishes.isa,
                                  cached=cache_is_free(program.arena_bytes, self._index.size),
                                  known=self._index.identity, read_rate=self._wishes.read_rate or 0)
            if self.budget.helped:
                give_back(self._team())  # of what loading touched, before a frame touches the arena
            self._extra, self._running_plan = extra, plan
        return self._engine

    def _note(self, engine: Any) -> None:
        self.engine_stats = engine.stats()
        counted = {name: self.engine_stats[name] for name in COUNTED}
        self.stats = {**counted, "peak_rss_bytes": process.peak_rss_bytes()}
