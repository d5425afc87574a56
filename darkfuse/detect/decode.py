"""All detection layers of a network to one `Result` in image coordinates."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable

from darkfuse.detect.boxes import DETECTION_BYTES, FIRST, Boxes, Room, any_room
from darkfuse.detect.candidate import Candidate, is_finite
from darkfuse.detect.nms import GREEDY_BETA, Suppression, nms_sort, survivors
from darkfuse.detect.types import Box, Result, letterbox_size
from darkfuse.errors import DarkfuseError
from darkfuse.graph.build import DETECTION
from darkfuse.graph.ir import Graph, Node
from darkfuse.model.dialect import NMS_KINDS
from darkfuse.model.tree import Tree, find_beside, read_tree


def detection_nodes(graph: Graph) -> tuple[Node, ...]:
    """Layers of a graph that stand for boxes; raises `DarkfuseError` when there are none."""
    nodes = tuple(n for n in graph.nodes if n.kind in DETECTION)
    if not nodes:
        raise DarkfuseError(f"{graph.path}: no [region] or [yolo] layer, so this network detects nothing")
    return nodes


def class_count(graph: Graph) -> int:
    """Classes the detection layers tell apart (the most of any of them)."""
    return max(getattr(n.options, "classes", 0) for n in detection_nodes(graph))


def suppression(graph: Graph, nms: float, kind: str | None = None) -> Suppression:
    """How a network's boxes are thinned out: by `kind`, or where that is None as the cfg and the dialect say.

    Boxes of all detection layers compete with each other. Where the layers ask for different kinds the last
    one decides, as in AlexeyAB's program.

    Raises
    ------
    DarkfuseError
        `kind` is none of `NMS_KINDS`.
    """
    if kind not in (None, *NMS_KINDS):
        raise DarkfuseError(f"there is no NMS kind {kind!r}; there are {', '.join(NMS_KINDS)}")
    options = detection_nodes(graph)[-1].options
    if kind is None:
        kind = getattr(options, "nms_kind", "plain") if graph.dialect.nms_kinds else "plain"
    return Suppression(nms, kind, getattr(options, "beta_nms", GREEDY_BETA))


def decode(graph: Graph, raw: Mapping[int, Any], image_w: int, image_h: int, thresh: float = 0.5,
           nms: float = 0.45, letterbox: bool = True, names: Sequence[str] | None = None, path: str = "",
           seconds: float = 0.0, nms_kind: str | None = None, words: Sequence[int] = (),
           hier: float = 0.5, room: Room = any_room) -> Result:
    """Turn raw maps into detections on the image.

    Parameters
    ----------
    graph : Graph
    raw : mapping of int to buffer
        For each detection layer's index the float32 map of the layer *before* it, channels first, not yet
        activated (bytes, array, memoryview or numpy array).
    image_w, image_h : int
        Size of the image in pixels.
    thresh : float
        Objectness, and objectness times class probability, must exceed it.
    nms : float
        Largest overlap two boxes of a class may keep; 0 keeps all.
    letterbox : bool
        Whether the image was letterboxed into the network, or stretched.
    names : sequence of str, optional
        Class names; a class without one is called by its number.
    path, seconds
        Passed on to the result.
    nms_kind : str, optional
        What overlap means, one of `NMS_KINDS`. Default: what the cfg says, in a dialect that follows it.
    words : sequence of int
        For a network with a word tree, of each class asked for its word; without them a box has the most
        special word that is probable.
    hier : float
        How probable a word of that tree must be for more special ones to be looked at.
    room : callable
        Makes room where there are very many boxes, or raises (see `detect.boxes.Room`).

    Warns
    -----
    UserWarning
        Some boxes above the threshold are not finite numbers. They are left out, and counted in the result.

    Raises
    ------
    DarkfuseError
        The network has no detection layer; there is no such NMS kind.
    """
    rule = suppression(graph, nms, nms_kind)
    broken = 0

    def finite() -> Iterator[Candidate]:
        nonlocal broken
        for one in _each(graph, raw, image_w, image_h, thresh, letterbox, words, hier):
            if one is None:
                broken += 1
            else:
                yield one

    found = Boxes()
    found.gather(finite(), room)
    if broken:
        boxes = "1 box" if broken == 1 else f"{broken} boxes"
        warnings.warn(f"{path or graph.path}: {boxes} left out that the network gave as no finite numbers; "
                      "are these the weights of this cfg?", stacklevel=3)
    if found.labels >= FIRST:
        room(found.labels, found.thinning_bytes(), True)
    if graph.dialect.region_nms and all(node.kind == "region" for node in detection_nodes(graph)):
        found = found.with_labels(survivors(found, Suppression(graph.dialect.region_nms)))
    if graph.dialect.one_label:
        found = found.best()
    found = found.with_labels(survivors(found, rule))
    if found.labels >= FIRST:
        room(found.labels, found.labels * DETECTION_BYTES, True)

    def name(number: int) -> str:
        return names[number] if names is not None and number < len(names) else str(number)

    return Result(tuple(found.detections(name)), image_w, image_h, path, seconds, broken)


def candidates(graph: Graph, raw: Mapping[int, Any], image_w: int, image_h: int, thresh: float,
               letterbox: bool, words: Sequence[int] = (), hier: float = 0.5,
               classless: bool = False) -> tuple[list[Candidate], int]:
    """Boxes of all layers, as fractions of the image, none suppressed; and how many were not finite.

    Parameters are those of `decode`; `classless` keeps boxes whose objectness exceeds the threshold, whatever
    their classes are, as Darknet's `get_network_boxes` does.
    """
    found = list(_each(graph, raw, image_w, image_h, thresh, letterbox, words, hier, classless))
    finite = [one for one in found if one is not None]
    return finite, len(found) - len(finite)


def _each(graph: Graph, raw: Mapping[int, Any], image_w: int, image_h: int, thresh: float, letterbox: bool,
          words: Sequence[int], hier: float, classless: bool = False) -> Iterator[Candidate | None]:
    """The boxes of `candidates` as they are decoded; None for one that is not finite."""
    for node in detection_nodes(graph):
        for one in decode_layer(graph, node, raw[node.index], thresh, words, hier, classless):
            if not is_finite(one):
                yield None
                continue
            if letterbox:
                one.box = undo_letterbox(one.box, image_w, image_h, graph.input.w, graph.input.h)
            yield one


def by_objectness(found: Sequence[Candidate], nms: float) -> list[Candidate]:
    """Of boxes that overlap by more than `nms` the one with the most objectness, whatever their classes are:
    Darknet's `do_nms_obj`."""
    alike = [Candidate(c.box, {0: c.objectness}) for c in found]
    kept = {id(one.box) for one in nms_sort(alike, Suppression(nms))}
    return [c for c in found if id(c.box) in kept]


def decoder(kind: str) -> Callable[..., Iterator[Candidate]]:
    """What makes boxes of a detection layer's map: `detect.<kind>.decode_<kind>`, imported when it is met."""
    name = kind.lower()
    module: Any = importlib.import_module(f"darkfuse.detect.{name}")
    found: Callable[..., Iterator[Candidate]] = getattr(module, f"decode_{name}")
    return found


def decode_layer(graph: Graph, node: Node, raw: Any, thresh: float, words: Sequence[int] = (),
                 hier: float = 0.5, classless: bool = False) -> Iterator[Candidate]:
    """Boxes of one layer, relative to the network's input."""
    more: tuple[Any, ...] = (graph.input.w, graph.input.h)
    if node.kind == "region":
        tree = word_tree(graph, node)
        if tree is not None and words and max(words) >= len(tree.names):
            raise DarkfuseError(f"a class is word {max(words)}, and {graph.path} has {len(tree.names)} words")
        more = tree, words, hier
    elif node.kind == "detection":
        more = ()
    return decoder(node.kind)(node.options, node.out_shape, raw, thresh, *more, classless=classless)


def word_tree(graph: Graph, node: Node) -> Tree | None:
    """The word tree a [region] or [softmax] layer names, None without one.

    Raises
    ------
    CfgError
        Its file is not there, is no word tree, or has another number of words than the layer has classes.
    """
    name = getattr(node.options, "tree", "")
    if not name:
        return None
    tree = read_tree(find_beside(name, graph.path))
    classes = getattr(node.options, "classes", node.out_shape.values)
    if len(tree.names) != classes:
        words = len(tree.names)
        graph.cfg.layers[node.index].fail(f"tree={name} has {words} words for {classes} classes", "tree")
    return tree


def undo_letterbox(box: Box, image_w: int, image_h: int, net_w: int, net_h: int) -> Box:
    """From fractions of the network's input to fractions of the image, as `correct_region_boxes` does.

    The border is taken as half the spare pixels without rounding, although the paste rounds down: Darknet's
    own half pixel.
    """
    new_w, new_h = letterbox_size(image_w, image_h, net_w, net_h)
    return Box(
        (box.cx - (net_w - new_w) / 2 / net_w) / (new_w / net_w),
        (box.cy - (net_h - new_h) / 2 / net_h) / (new_h / net_h),
        box.w * net_w / new_w,
        box.h * net_h / new_h,
    )
