"""The layer table Darknet prints while it loads a network, with bytes of weights and activations added."""

from __future__ import annotations

from darkfuse.graph.ir import Graph, Node, Shape
from darkfuse.graph.layers.connected import ConnectedOptions
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.graph.layers.maxpool import MaxpoolOptions
from darkfuse.graph.layers.reorg import ReorgOptions
from darkfuse.graph.layers.route import RouteOptions
from darkfuse.graph.layers.shortcut import ShortcutOptions
from darkfuse.graph.layers.upsample import UpsampleOptions

# index, type, filters, size/stride, input, output, BFLOPs, weight bytes, activation bytes
_HEAD = (f"{'layer':<16} {'filters':>7}  {'size':<13} {'input':^18}    {'output':^18} {'BFLOPs':>9} "
         f"{'weights':>13} {'activations':>13}")


def layer_table(graph: Graph) -> list[str]:
    """Lines of the table: a head, one line a layer, and the totals.

    Sizes are width x height x channels. `weights` are bytes in the weights file without its header,
    `activations` bytes of the layer's output as plain float32; darkfuse itself keeps far less at a time.
    """
    lines = [_HEAD]
    for node in graph.nodes:
        source = _shape(node.in_shapes[0]) if len(node.inputs) == 1 else ""
        lines.append(_row(f"{node.index:5d} {node.options.short}", *_columns(node), source, "->",
                          _shape(node.out_shape), _flops(node.macs), _bytes(node.weight_bytes),
                          f"{node.out_shape.bytes:,}"))
    total = sum(node.out_shape.bytes for node in graph.nodes)
    lines.append(_row("total", "", f"{len(graph.nodes)} layers", "", "", "", f"{2 * graph.macs / 1e9:.3f}",
                      f"{graph.weight_bytes:,}", f"{total:,}"))
    return lines


def _columns(node: Node) -> tuple[str, str]:
    """The filters and size columns of one layer."""
    options = node.options
    if isinstance(options, ConvOptions):
        more = f" g{options.groups}" if options.groups > 1 else ""
        more += f" d{options.dilation}" if options.dilation > 1 else ""
        return str(options.filters), f"{options.size} x {options.size} / {options.stride}{more}"
    if isinstance(options, MaxpoolOptions):
        return "", f"{options.size} x {options.size} / {options.stride}"
    if isinstance(options, RouteOptions):
        part = f" {options.group_id}/{options.groups}" if options.groups > 1 else ""
        return "", " ".join(map(str, options.layers)) + part
    if isinstance(options, ShortcutOptions):
        return "", " ".join(map(str, options.sources))
    if isinstance(options, ReorgOptions):
        return "", f"      / {options.stride}"
    if isinstance(options, UpsampleOptions):
        return "", f"    {options.stride}x"
    if isinstance(options, ConnectedOptions):
        return str(options.units), ""
    return "", ""


def _row(layer: str, filters: str, size: str, source: str, arrow: str, target: str, flops: str, weights: str,
         activations: str) -> str:
    return (f"{layer:<16} {filters:>7}  {size:<13} {source:>18} {arrow:^2} {target:>18} {flops:>9} "
            f"{weights:>13} {activations:>13}")


def _shape(shape: Shape) -> str:
    return f"{shape.w:4d} x{shape.h:4d} x{shape.c:5d}"


def _flops(macs: int) -> str:
    return f"{2 * macs / 1e9:.3f}" if macs else ""


def _bytes(count: int) -> str:
    return f"{count:,}" if count else ""
