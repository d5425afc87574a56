"""`Net`: a Darknet network behind the calls of `cv2.dnn.Net`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from darkfuse.compat.blobs import _four
from darkfuse.compat.fault import fault, in_their_words
from darkfuse.compat.layers import Layer, layers_of, named, unconnected
from darkfuse.compat.rows import rows
from darkfuse.graph import Graph, load_graph

if TYPE_CHECKING:
    import numpy as np

    from darkfuse.session.network import Network


class LayerFacts(NamedTuple):
    """What `Net.getLayer` tells of a layer."""

    name: str
    type: str

    @property
    def preferableTarget(self) -> int:
        """DNN_TARGET_CPU: darkfuse computes on the processor."""
        return 0

    def outputNameToIndex(self, outputName: str) -> int:
        """-1: outputs of Darknet's layers have no names of their own."""
        return -1


class Net:
    """A network read from Darknet's files. Made by `readNetFromDarknet` or `readNet`.

    The files are checked when it is made; the plan is searched at the first `forward`, for the size of the
    blob, and kept until a blob of another size comes. The budget of the process is `setMemory`, else the
    environment's DARKFUSE_MEM, else half of what is free.

    Attributes
    ----------
    network : Network or None
        darkfuse's own, once something has run.
    region_nms : bool
        Whether [region] layers thin their boxes out themselves. A `DetectionModel` sets it to False for good,
        as OpenCV's does.
    """

    def __init__(self, cfg: str = "", weights: str = "", keep: Any = None) -> None:
        self._weights, self._keep = weights, keep  # `keep` holds temporary files for as long as this
        self._graph: Graph | None = None
        self._layers: list[Layer] = []
        self._blob: Any = None
        self._mem: str | int | None = os.environ.get("DARKFUSE_MEM") or None
        self._exact = False
        self.region_nms = True
        self.network: Network | None = None
        if cfg:
            with in_their_words():
                self._graph = load_graph(cfg, dialect="opencv")
                self._layers = layers_of(self._graph)
                if weights:
                    from darkfuse.graph.weights import weight_offsets

                    weight_offsets(self._graph, weights)

    # What it is made of

    def empty(self) -> bool:
        """Whether there is no network in it."""
        return self._graph is None

    def getLayerNames(self) -> tuple[str, ...]:
        """Names of all layers but the input."""
        return tuple(layer.name for layer in self._layers)

    def getLayerId(self, layer: str) -> int:
        """Its id, from 1; 0 is the input, -1 no such layer."""
        names = ("_input", *self.getLayerNames())
        return names.index(layer) if layer in names else -1

    def getLayer(self, layerId: int | str) -> LayerFacts:
        """Name and type of a layer, by id or name."""
        if layerId in (0, "_input"):
            return LayerFacts("_input", "")
        if isinstance(layerId, str):
            found = named(self._layers, layerId)
        elif 1 <= layerId <= len(self._layers):
            found = self._layers[layerId - 1]
        else:
            raise fault(f"Layer with requested id={layerId} not found")
        return LayerFacts(found.name, found.type)

    def getLayerTypes(self) -> tuple[str, ...]:
        """The types there are, each once, sorted."""
        return tuple(sorted({layer.type for layer in self._layers} | {"__NetInputLayer__"}))

    def getLayersCount(self, layerType: str) -> int:
        """How many layers of a type there are."""
        return sum(layer.type == layerType for layer in self._layers)

    def getUnconnectedOutLayers(self) -> np.ndarray:
        """Ids of the layers nobody reads: (n,) int32."""
        import numpy as np

        return np.array(unconnected(self._there(), self._layers), np.int32)

    def getUnconnectedOutLayersNames(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._layers[at - 1].name for at in unconnected(self._there(), self._layers))

    # How it runs

    def setMemory(self, mem: str | int | None) -> None:
        """Memory for the whole process, '48M' or bytes; None is half of what is free. Darkfuse's own call."""
        self._mem = mem
        self._forget()

    def setPreferableBackend(self, backendId: int) -> None:
        """Accepted, whatever it names: darkfuse computes on the processor."""

    def setPreferableTarget(self, targetId: int) -> None:
        """Accepted, whatever it names: darkfuse computes on the processor, in float32."""

    def enableFusion(self, fusion: bool) -> None:
        """Accepted: fusing is darkfuse's own affair, and changes no value."""

    def enableWinograd(self, useWinograd: bool) -> None:
        """False: only kernels that round as a plain convolution does."""
        if self._exact == useWinograd:
            self._exact = not useWinograd
            self._forget()

    def setHalideScheduler(self, scheduler: str) -> None:
        """Accepted: there is no Halide here."""

    def setInputsNames(self, inputBlobNames: Sequence[str]) -> None:
        """Accepted: a Darknet network has one input, whatever it is called."""

    def setInputShape(self, inputName: str, shape: Sequence[int]) -> None:
        """Accepted: the network is planned for the blob that comes."""

    def setInput(self, blob: Any, name: str = "", scalefactor: float = 1.0, mean: Any = ()) -> None:
        """What to run on.

        Parameters
        ----------
        blob : ndarray
            (n, channels, height, width) or (channels, height, width), float32 or uint8. The size may differ
            from the cfg's.
        name : str
            Ignored; there is one input.
        scalefactor, mean
            The network gets (blob - mean) * scalefactor.

        Raises
        ------
        error
            Another number of channels or dimensions.
        """
        import numpy as np

        graph = self._there()
        given = np.asarray(blob.get() if hasattr(blob, "get") else blob)
        given = given[None] if given.ndim == 3 else given
        if given.ndim != 4 or given.shape[1] != graph.input.c:
            raise fault(f"{graph.path}: takes a blob (n, {graph.input.c}, height, width), not {given.shape}")
        values = given.astype(np.float32)
        shift = _four(mean)[: graph.input.c] if len(np.atleast_1d(mean)) else []
        if any(shift):
            values -= np.array(shift, np.float32)[:, None, None]
        self._blob = values * np.float32(scalefactor) if scalefactor != 1.0 else values

    def forward(self, outputName: Any = None, *, outBlobNames: Any = None) -> Any:
        """Run the network.

        Parameters
        ----------
        outputName : str or sequence of str, optional
            The layer wanted, or several. Default: the last.

        Returns
        -------
        ndarray, or tuple of ndarray for a sequence of names
            Detection layers: (boxes, 5 + classes) float32, relative centre x, centre y, width, height, the
            objectness, each class's score; (n, boxes, 5 + classes) for a blob of n pictures. Others:
            (n, channels, height, width).

        Raises
        ------
        error
            No input, no weights, no such layer; or nothing fits the memory.
        """
        wanted = outBlobNames if outBlobNames is not None else outputName
        several = wanted is not None and not isinstance(wanted, str)
        layers = [named(self._layers, name) for name in (wanted if several else [wanted or ""])]
        outputs = self._run(layers)
        return tuple(outputs) if several else outputs[0]

    def forwardAndRetrieve(self, outBlobNames: Sequence[str]) -> tuple[tuple[np.ndarray, ...], ...]:
        """As `forward` for several layers, each output in a tuple of its own."""
        return tuple((output,) for output in self.forward(outBlobNames))

    def getPerfProfile(self) -> tuple[int, np.ndarray]:
        """Ticks (nanoseconds) the last `forward` took, and a float64 for each layer.

        darkfuse runs fused layers together, so each layer's time is its part of the multiply-adds.
        """
        import numpy as np

        graph, times = self._there(), np.zeros((len(self._layers), 1), np.float64)
        total = 0 if self.network is None else round(self.network.stats.get("latency_ms", 0.0) * 1e6)
        for at, layer in enumerate(self._layers):
            if layer.type in ("Convolution", "InnerProduct"):
                times[at] = total * graph.node(layer.node).macs / max(graph.macs, 1)
        return total, times

    def getFLOPS(self, *of: Any) -> int:
        """Floating-point operations of one pass over a blob, as OpenCV counts them.

        `getFLOPS(shape)` of the whole network, `getFLOPS(id, shape)` of one layer; shape is the blob's,
        (n, channels, height, width).
        """
        from darkfuse.compat.cost import flops

        graph, layers, pictures = self._shaped(of[-1] if of else None)
        if len(of) == 2:
            layers = [layer for layer in layers[int(of[0]) - 1 : int(of[0])] if of[0] > 0]
        return flops(graph, layers, pictures)

    def getMemoryConsumption(self, netInputShape: Any = None, *_more: Any) -> tuple[int, int]:
        """Bytes of the weights, and of all layers' outputs together, as OpenCV counts them.

        That is what it would take to hold every map at once, not what darkfuse takes: for that see
        `network.stats`.
        """
        from darkfuse.compat.cost import memory

        return memory(*self._shaped(netInputShape))

    def _shaped(self, shape: Any) -> tuple[Graph, list[Layer], int]:
        """The graph for a blob of that shape, its layers, and the pictures in the blob."""
        graph = self._there()
        if shape is None:
            return graph, self._layers, 1
        shape = tuple(int(side) for side in (shape[0] if isinstance(shape[0], (tuple, list)) else shape))
        if len(shape) != 4:
            raise fault(f"expected the shape of a blob, (n, channels, height, width), not {shape}")
        with in_their_words():
            return load_graph(graph.path, shape[3], shape[2], "opencv"), self._layers, shape[0]

    def _there(self) -> Graph:
        if self._graph is None:
            raise fault("this Net is empty; read one with readNetFromDarknet")
        return self._graph

    def _forget(self) -> None:
        if self.network is not None:
            self.network.close()
            self.network = None

    def _sized(self, height: int, width: int) -> Network:
        """darkfuse's network for blobs of that size."""
        there = self.network
        if there is None or (there.graph.input.h, there.graph.input.w) != (height, width):
            from darkfuse.session.network import load

            self._forget()
            graph = self._there()
            blob = 4 * graph.input.c * height * width
            with in_their_words():
                self.network = there = load(
                    graph.path, self._weights, mem=self._mem, exact=self._exact, names=(), dialect="opencv",
                    width=width, height=height, video_bytes=2 * blob)
        return there

    def _run(self, layers: list[Layer]) -> list[np.ndarray]:
        import numpy as np

        if self._blob is None:
            raise fault("no input: call setInput first")
        if not self._weights:
            raise fault(f"{self._there().path}: was read without weights, so it cannot run")
        for layer in layers:
            if layer.gives == "inner":
                last = next(m for m in self._layers if m.node == layer.node and m.gives in ("map", "rows"))
                raise fault(f'"{layer.name}" is computed together with "{last.name}": ask for that one')
        network = self._sized(*self._blob.shape[2:])
        wanted = {layer.node - 1 if layer.gives == "permuted" else layer.node for layer in layers}
        found: list[list[np.ndarray]] = [[] for _ in layers]
        with in_their_words():
            for picture in self._blob:
                maps = network.forward(picture, sorted(wanted))
                for layer, outputs in zip(layers, found):
                    node = network.graph.node(layer.node)
                    if layer.gives == "rows":
                        outputs.append(rows(network.graph, node, maps[layer.node], self.region_nms))
                    elif layer.gives == "permuted":
                        outputs.append(np.ascontiguousarray(maps[layer.node - 1].transpose(1, 2, 0)))
                    else:
                        outputs.append(maps[layer.node])
        return [outputs[0] if layer.gives == "rows" and len(outputs) == 1 else np.stack(outputs)
                for layer, outputs in zip(layers, found)]
