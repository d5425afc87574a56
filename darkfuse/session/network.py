"""The Python face of darkfuse: `load` a network, `detect` in pictures, `forward` plain maps."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Sequence

from darkfuse.detect.decode import class_count, decode
from darkfuse.detect.types import Result
from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.graph import Graph, load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.host import process
from darkfuse.media.decode import Picture
from darkfuse.model.locate import DEFAULT_CFG, class_names, find_cfg, find_weights
from darkfuse.plan.types import Plan
from darkfuse.session.budget import Budget, share
from darkfuse.session.choose import choose, written_plan

if TYPE_CHECKING:
    import numpy as np

    from darkfuse.model.weights import WeightsIndex

DETECTION = ("region", "yolo")
ISAS = ("generic", "avx2", "avx512", "neon")
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
) -> Network:
    """Load a Darknet network.

    Parameters
    ----------
    cfg : path, optional
        The `.cfg`; one that comes with darkfuse can be named alone, `"yolov3-tiny.cfg"`. Default: darkfuse's
        own small model.
    weights : path, optional
        The `.weights`. Default: `weights/<cfg name>.weights` beside the cfg's folder.
    threads : int, optional
        Default: one a physical core.
    mem : str or int, optional
        Memory for the whole process, `"48M"` or bytes. `"min"`: little more than the least this network runs
        in, even where there is less and the rest has to be swapped. `"resident"`: everything is kept, the
        fastest. Default: what a plan written in the cfg was made for, else half of what the machine (or this
        process's memory cgroup) has free, and more of it where half is too little.
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
        Instruction set to use instead of the best this processor has: 'generic', 'avx2', 'avx512', 'neon'.
    video_bytes : int, optional
        Only arrays will be handed to `detect`, from buffers there already, as a camera's frames are: of `mem`
        nothing is kept free for decoding pictures, but this much for what else the caller will still take.
    dialect : str
        Whose answers to give: 'darknet', 'alexeyab' or 'opencv' (see `model.dialect`). 'auto' judges by the
        cfg's keys; `Network.dialect` says which it is and why.
    width, height : int, optional
        Network size in pixels in place of the cfg's; each must suit the network's strides.

    Raises
    ------
    CfgError, WeightsError
        A file is missing or wrong; the message says where.
    PlanError, BudgetError
        The plan is not for this network; nothing fits `mem`.
    """
    if threads is not None and not 1 <= threads <= 256:
        raise DarkfuseError(f"threads={threads} is outside 1..256")
    if isa not in (None, *ISAS):
        raise DarkfuseError(f"isa={isa!r} is none of {', '.join(ISAS)}")
    cfg_path = find_cfg(os.fspath(cfg) if cfg is not None else DEFAULT_CFG)
    graph = load_graph(cfg_path, width, height, dialect)
    weights_path = os.fspath(weights) if weights is not None else find_weights(cfg_path)
    index = weight_offsets(graph, weights_path)
    # Loaded before the memory left is measured: its code counts too
    import darkfuse.engine._engine  # noqa: F401

    written = written_plan(graph, threads, exact) if plan is None and device is None else None
    team = threads or (written.threads if written else process.cpu_count())
    if mem is None and written:
        mem = written.budget_bytes or None
    budget = share(mem, graph.input.c * graph.input.h * graph.input.w, len(graph.nodes), team, video_bytes)
    chosen, budget = choose(graph, budget, team, exact, plan, device, written)
    return Network(graph, index, chosen, budget, _names(graph, weights_path, names), isa)


class Network:
    """A loaded network. Made by `load`; closes itself at the end of a `with`.

    The arena is allocated when the first frame runs and stays until `close`. Not for several threads at once:
    load the network once for each.

    Attributes
    ----------
    graph : Graph
    plan : Plan
    budget : Budget
    dialect : Dialect
        Whose answers the network gives, why, and the defaults that follow from it.
    names : tuple of str
        Class names, empty when none were found.
    stats : dict
        Of the last frame: `latency_ms`, `arena_bytes`, `peak_rss_bytes` (VmHWM; None where the system does
        not tell), `bytes_read` from the weights, `macs` executed. `engine_stats` has what else the engine
        counts.
    """

    def __init__(self, graph: Graph, index: WeightsIndex, plan: Plan, budget: Budget,
                 names: tuple[str, ...], isa: str | None = None) -> None:
        self.graph, self.plan, self.budget, self.names = graph, plan, budget, names
        self.dialect = graph.dialect
        self.stats: dict[str, Any] = {}
        self.engine_stats: dict[str, Any] = {}
        self._index, self._isa = index, isa
        self._detects = any(node.kind in DETECTION for node in graph.nodes)
        self._engine: Any = None
        self._extra: tuple[int, ...] = ()

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the arena back. The network can still be used; the next frame allocates it again."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def detect(self, image: Any, thresh: float | None = None, nms: float | None = None,
               letterbox: bool | None = None, nms_kind: str | None = None) -> Result:
        """Find objects in a picture.

        Parameters
        ----------
        image : path or array
            A picture file; or uint8, (height, width, 3) RGB (OpenCV's are BGR: pass `image[..., ::-1]`),
            (height, width, 4) RGBA, (height, width) or (height, width, 1) grey. A network with one channel
            gets the luma; one with four gets alpha, 255 where the picture has none.
        thresh : float, optional
            Least score. Default: the dialect's, 0.5 in Darknet's.
        nms : float, optional
            Largest overlap of two boxes of a class; 0 keeps all. Default: the dialect's, 0.45 in Darknet's.
        letterbox : bool, optional
            Keep the picture's aspect inside the network, as Darknet's `detect`; False stretches it, as
            AlexeyAB's `test`. Default: as the dialect does.
        nms_kind : str, optional
            What overlap means: 'plain' (IoU), 'greedynms', 'diounms' or 'cornersnms' (see `detect.nms`).
            Default: what the cfg says, in a dialect that follows it.

        Returns
        -------
        Result
            Empty, with a warning, for a network without detection layers.

        Raises
        ------
        ImageError
            Not a picture.
        """
        thresh = self.dialect.thresh if thresh is None else thresh
        nms = self.dialect.nms if nms is None else nms
        letterbox = self.dialect.letterbox if letterbox is None else letterbox
        path = os.fspath(image) if isinstance(image, (str, os.PathLike)) else ""
        if self.graph.input.c not in (1, 3, 4):
            raise DarkfuseError(f"{self.graph.path}: takes {self.graph.input.c} channels; a picture has 1, 3 "
                                "or 4 (for other maps there is `forward`)")
        picture = self._decode(path, letterbox) if path else _picture(image)
        engine = self._running(())
        engine.run_image(picture.pixels, picture.width, picture.height, letterbox, picture.channels,
                         self.dialect.resize == "centres")
        self._note(engine)
        if not self._detects:
            warnings.warn(f"{self.graph.path}: no [region] or [yolo] layer: it runs, but finds nothing",
                          stacklevel=2)
            return Result((), picture.original_width, picture.original_height, path,
                          self.stats["latency_ms"] / 1000)
        raw = {index: engine.output(index) for index in self.graph.outputs}
        return decode(self.graph, raw, picture.original_width, picture.original_height, thresh, nms,
                      letterbox, self.names or None, path, self.stats["latency_ms"] / 1000, nms_kind)

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
        import numpy as np

        from darkfuse.detect.activated import activated

        source, wanted = self.graph.input, tuple(self.graph.outputs if layers is None else layers)
        given = np.ascontiguousarray(chw, np.float32)
        if given.shape != (source.c, source.h, source.w):
            raise DarkfuseError(f"{self.graph.path}: takes (channels, height, width) = "
                                f"({source.c}, {source.h}, {source.w}), not {given.shape}")
        for layer in wanted:
            if not 0 <= layer < len(self.graph.nodes):
                last = len(self.graph.nodes) - 1
                raise DarkfuseError(f"{self.graph.path}: has layers 0..{last}, not {layer}")
        engine = self._running(tuple(layer for layer in wanted if layer not in self.graph.outputs))
        engine.run_chw(given)
        self._note(engine)
        maps = {}
        for layer in wanted:
            node = self.graph.node(layer)
            shape = node.out_shape
            raw = np.array(engine.output(layer), np.float32).reshape(shape.c, shape.h, shape.w)
            maps[layer] = activated(node, raw) if node.kind in DETECTION else raw
        return maps

    def draw(self, result: Result, out: str | os.PathLike[str]) -> str:
        """Save the picture `result` came from with its boxes drawn; returns the path written.

        `.jpg` is added to `out` unless it says .jpg or .png. Raises `ImageError`.
        """
        from darkfuse.media.draw import draw

        if not result.path:
            raise ImageError("this result came from an array, not from a file: no picture to draw on")
        marks = []
        for box, labels in result.by_box():
            text = ", ".join(f"{label.name} {label.confidence * 100:.0f}%" for label in labels)
            marks.append((labels[0].class_id, text, box.cx - box.w / 2, box.cy - box.h / 2,
                          box.cx + box.w / 2, box.cy + box.h / 2))
        self._make_room()
        classes = class_count(self.graph) if self._detects else 1
        return draw(result.path, marks, classes, os.fspath(out),
                    self._work(), self.budget.aside)

    def stats_line(self) -> str:
        """The last frame's `stats` for people to read."""
        from darkfuse.host.units import format_bytes

        peak = self.stats.get("peak_rss_bytes")
        memory = "" if peak is None else f", process peak {format_bytes(peak)}" + (
            f" of {format_bytes(self.budget.total)}" if self.budget.total else "")
        arena, read = (format_bytes(self.stats[name]) for name in ("arena_bytes", "bytes_read"))
        return (f"{self.stats['latency_ms']:.1f} ms, arena {arena}{memory}, {read} of weights read, "
                f"{self.stats['macs'] / 1e9:.3f} G multiply-adds, "
                f"dialect {self.dialect.name} ({self.dialect.why})")

    def _decode(self, path: str, letterbox: bool) -> Picture:
        from darkfuse.media.decode import decode as decode_picture

        self._make_room()
        source = self.graph.input
        return decode_picture(path, (source.w, source.h), letterbox, self.budget.picture, self._work(),
                              self.budget.aside)

    def _work(self) -> int | None:
        """Bytes decoding and drawing may take for pixels."""
        plan = self.plan
        return self.budget.work(plan.predicted_peak_bytes - plan.arena_bytes - (self.budget.picture or 0))

    def _make_room(self) -> None:
        """Give the arena back for the while, where a second process does not fit beside it."""
        if self._engine is not None and not self.budget.fits_beside():
            self.close()

    def _running(self, extra: tuple[int, ...]) -> Any:
        """The engine, with the maps of `extra` layers kept for reading."""
        if self._engine is not None and not set(extra) <= set(self._extra):
            self.close()
        if self._engine is None:
            from darkfuse.engine._engine import Engine, give_back
            from darkfuse.plan.layout.lower import lower

            program = lower(self.graph, self.plan, extra, self._index)
            # Where the system has memory to spare, its cache may keep what is streamed: cards are slow. In a
            # cgroup, or on a full board, that cache would push out something else.
            free = process.free_bytes()
            spare = free is not None and free > program.arena_bytes + 2 * self._index.size
            if self.budget.aside:
                give_back()  # what planning and starting a decoder touched
            self._engine = Engine(program, self._index.path, self.plan.threads, self._isa, cached=spare)
            self._extra = extra
        return self._engine

    def _note(self, engine: Any) -> None:
        self.engine_stats = engine.stats()
        self.stats = {name: self.engine_stats[name] for name in COUNTED}
        self.stats["peak_rss_bytes"] = process.peak_rss_bytes()


def _picture(image: Any) -> Picture:
    """An array as a picture; without numpy, any buffer of bytes of that shape will do."""
    try:
        view = memoryview(image)
    except TypeError:
        kind = type(image).__name__
        raise ImageError(f"expected a path or a (height, width, 3) uint8 array, not {kind}") from None
    shape = (*(view.shape or ()), 1) if view.ndim == 2 else view.shape or ()
    if len(shape) != 3 or shape[2] not in (1, 3, 4) or view.format != "B" or 0 in shape:
        raise ImageError(f"expected a (height, width, 3) uint8 array (or grey, or RGBA), not {view.shape} of "
                         f"{view.format!r}")
    height, width, channels = shape
    pixels = view.cast("B") if view.c_contiguous else view.tobytes()
    return Picture(width, height, pixels, width, height, channels)


def _names(
    graph: Graph, weights: str, names: str | os.PathLike[str] | Sequence[str] | None
) -> tuple[str, ...]:
    from darkfuse.model.names import read_data, read_names

    if names is None:
        detects = any(node.kind in DETECTION for node in graph.nodes)
        found = class_names(graph.path, weights, class_count(graph)) if detects else None
        return found or ()
    if not isinstance(names, (str, os.PathLike)):
        return tuple(names)
    path = os.fspath(names)
    if path.endswith(".data"):
        data = read_data(path)
        if data.names is None:
            raise DarkfuseError(f"{path}: has no names= line")
        path = data.names
    return read_names(path)
