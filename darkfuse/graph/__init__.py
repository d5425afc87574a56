"""The immutable graph: which layer feeds which, with every shape and weight count worked out.

`load_graph` turns a `.cfg` into a `Graph` of `Node`s. Each layer type has one file in `layers/`, holding its
options, output shape, weight layout and window; adding a type means adding a file. Nothing here computes a
layer: kernels do that, told by a plan.
"""

from __future__ import annotations

from darkfuse.graph.build import build_graph, load_graph
from darkfuse.graph.ir import Graph, Node, Options, Shape, WeightLayout, Window

__all__ = ["Graph", "Node", "Options", "Shape", "WeightLayout", "Window", "build_graph", "load_graph"]
