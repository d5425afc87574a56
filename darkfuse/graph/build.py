"""From a parsed `.cfg` to a `Graph`."""

from __future__ import annotations

import os

from darkfuse.errors import CfgError, DarkfuseError
from darkfuse.graph.ir import MAX_VALUES, Graph, Node, Shape
from darkfuse.graph.registry import LAYERS, REFUSED
from darkfuse.model.cfg import Cfg, read_cfg
from darkfuse.model.dialect import dialect_of

# Layers whose maps are decoded to boxes.
DETECTION = ("region", "yolo", "Gaussian_yolo", "detection")
# Well past any camera; a larger number in a cfg is a slip of the hand.
MAX_SIDE = 16384
MAX_CHANNELS = 1024


def load_graph(cfg_path: str, width: int | None = None, height: int | None = None,
               dialect: str = "auto") -> Graph:
    """Read a `.cfg` and work out the whole network.

    Parameters
    ----------
    cfg_path : str
        The file.
    width, height : int, optional
        Network size in pixels, in place of the one in `[net]`.
    dialect : str
        One of `model.dialect.NAMES`: whose answers to give. 'auto' judges by the cfg's keys.

    Raises
    ------
    CfgError
        With file and line: unreadable file, unknown section, missing or non-numeric key, route to nowhere,
        shapes that do not fit, a network size not positive or absurdly large.
    DarkfuseError
        `width` or `height` given here is out of range; there is no such dialect.
    """
    return build_graph(read_cfg(os.fspath(cfg_path)), width, height, dialect)


def build_graph(cfg: Cfg, width: int | None = None, height: int | None = None,
                dialect: str = "auto") -> Graph:
    """As `load_graph`, from a cfg already parsed."""
    for name, side in (("width", width), ("height", height)):
        if side is not None and not 1 <= side <= MAX_SIDE:
            raise DarkfuseError(f"network {name} {side} is outside 1..{MAX_SIDE}")
    _refuse_others(cfg)  # before the size: networks that remember have none
    net = cfg.net
    source = Shape(
        net.integer("channels", None, 1, MAX_CHANNELS),
        height or net.integer("height", None, 1, MAX_SIDE),
        width or net.integer("width", None, 1, MAX_SIDE),
    )
    spoken = dialect_of(cfg, dialect)
    nodes: list[Node] = []
    for index, section in enumerate(cfg.layers):
        layer = LAYERS[section.kind]
        options = layer.parse(section, index)
        inputs = options.producers(index)
        in_shapes = tuple(source if i < 0 else nodes[i].out_shape for i in inputs)
        options = options.fitted(in_shapes, spoken)
        out_shape = options.output(in_shapes, section)
        if out_shape.values > MAX_VALUES:
            section.fail(f"layer {index} would make a map of {out_shape} values, more than {MAX_VALUES}")
        nodes.append(Node(index, layer.kind, options, inputs, in_shapes, out_shape, section.line,
                          options.weights(in_shapes)))
    if all(node.kind in ("dropout", "cost") for node in nodes):
        raise CfgError(cfg.path, 0, "no layer of it computes anything: [dropout] and [cost] are for training")
    name = os.path.splitext(os.path.basename(cfg.path))[0]
    return Graph(name, cfg.path, source, tuple(nodes), cfg, _outputs(nodes), spoken)


def _refuse_others(cfg: Cfg) -> None:
    """Raise for the first section that is not run, with the reason where it is known."""
    for section in cfg.layers:
        if section.kind in REFUSED:
            section.fail(f"[{section.kind}] is not supported: {REFUSED[section.kind]}")
        if section.kind not in LAYERS:
            section.fail(f"unknown section [{section.kind}]: darkfuse runs {', '.join(sorted(LAYERS))}")


def _outputs(nodes: list[Node]) -> tuple[int, ...]:
    """Detection layers, or else the last layer that is not a training loss (Darknet's network output)."""
    detection = tuple(node.index for node in nodes if node.kind in DETECTION)
    if detection:
        return detection
    rest = [node.index for node in nodes if node.kind != "cost"]
    return (rest[-1] if rest else len(nodes) - 1,)
