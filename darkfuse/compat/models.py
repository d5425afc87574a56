"""`DetectionModel` and `ClassificationModel`: from a picture to labels in one call, as `cv2.dnn` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from darkfuse.compat.blobs import blobFromImage, plain_array
from darkfuse.compat.boxes import chosen
from darkfuse.compat.fault import fault
from darkfuse.compat.net import Net

if TYPE_CHECKING:
    import numpy as np


class Model:
    """A network with how pictures are brought to it.

    Parameters
    ----------
    network : Net or path
        A network; or a file of one, `config` being the other.
    config : path, optional
    """

    def __init__(self, network: Any, config: str = "") -> None:
        from darkfuse.compat.read import readNet

        self.net: Net = network if isinstance(network, Net) else readNet(network, config)
        self._scale: Any = 1.0
        self._size: tuple[int, ...] = (0, 0)
        self._mean: Any = ()
        self._swap = self._crop = False
        self._outputs: tuple[str, ...] = ()

    def setInputParams(self, scale: Any = 1.0, size: Any = (0, 0), mean: Any = (), swapRB: bool = False,
                       crop: bool = False) -> None:
        """How a picture becomes a blob; see `blobFromImage`."""
        self._scale, self._size, self._mean, self._swap, self._crop = scale, tuple(size), mean, swapRB, crop

    def setInputSize(self, *size: Any) -> Model:
        """Size of the blob: (width, height), or the two alone."""
        self._size = tuple(int(v) for v in (size[0] if len(size) == 1 else size))
        return self

    def setInputMean(self, mean: Any) -> Model:
        """What is taken off each channel."""
        self._mean = mean
        return self

    def setInputScale(self, scale: Any) -> Model:
        """What the rest is multiplied by."""
        self._scale = scale
        return self

    def setInputSwapRB(self, swapRB: bool) -> Model:
        """Whether red and blue change places."""
        self._swap = swapRB
        return self

    def setInputCrop(self, crop: bool) -> Model:
        """Whether the picture keeps its aspect and loses its edges."""
        self._crop = crop
        return self

    def setOutputNames(self, outNames: Any) -> Model:
        """Layers `predict` gives; default are those nobody reads."""
        self._outputs = tuple(outNames)
        return self

    def setPreferableBackend(self, backendId: int) -> Model:
        """Accepted; see `Net.setPreferableBackend`."""
        return self

    def setPreferableTarget(self, targetId: int) -> Model:
        """Accepted; see `Net.setPreferableTarget`."""
        return self

    def enableWinograd(self, useWinograd: bool) -> Model:
        """See `Net.enableWinograd`."""
        self.net.enableWinograd(useWinograd)
        return self

    def predict(self, frame: Any) -> tuple[np.ndarray, ...]:
        """Outputs of the network for a picture."""
        if 0 in self._size:
            raise fault("the input's size is not set: call setInputParams or setInputSize")
        blob = blobFromImage(frame, self._scale, self._size, self._mean, self._swap, self._crop)
        self.net.setInput(blob)
        outputs: tuple[np.ndarray, ...] = self.net.forward(
            self._outputs or self.net.getUnconnectedOutLayersNames())
        return outputs


class ClassificationModel(Model):
    """A network that says what a picture shows."""

    _softmax = False

    def setEnableSoftmaxPostProcessing(self, enable: bool) -> ClassificationModel:
        """Whether the outputs go through a softmax first."""
        self._softmax = enable
        return self

    def getEnableSoftmaxPostProcessing(self) -> bool:
        """Whether they do."""
        return self._softmax

    def classify(self, frame: Any) -> tuple[int, float]:
        """Number and score of the best class of a picture."""
        import numpy as np

        outputs = self.predict(frame)
        if len(outputs) != 1:
            raise fault(f"a classifier has one output, this network has {len(outputs)}")
        scores = outputs[0].reshape(-1)
        if self._softmax:
            scores = np.exp(scores - scores.max())
            scores = scores / scores.sum()
        best = int(np.argmax(scores))
        return best, float(scores[best])


class DetectionModel(Model):
    """A network that says what is where."""

    _across = False

    def __init__(self, network: Any, config: str = "") -> None:
        super().__init__(network, config)
        self.net.region_nms = False  # `detect` does it, for all layers together

    def setNmsAcrossClasses(self, value: bool) -> DetectionModel:
        """Whether boxes of different classes suppress each other."""
        self._across = value
        return self

    def getNmsAcrossClasses(self) -> bool:
        """Whether they do."""
        return self._across

    def detect(self, frame: Any, confThreshold: float = 0.5,
               nmsThreshold: float = 0.0) -> tuple[Any, Any, Any]:
        """Find objects.

        Parameters
        ----------
        frame : array or UMat
            (height, width, 3) uint8.
        confThreshold : float
            A box's best class must reach it.
        nmsThreshold : float
            Largest overlap of two boxes of a class; 0 keeps all.

        Returns
        -------
        class ids (n,) int32, scores (n,) float32, boxes (n, 4) int32
            Boxes as left, top, width, height in pixels, one label each: by class, in it best first. Three
            empty tuples when there is none.
        """
        import numpy as np

        picture = plain_array(frame)
        height, width = picture.shape[:2]
        found: list[tuple[int, float, list[int]]] = []
        for output in self.predict(picture):
            boxes = output.reshape(-1, output.shape[-1])
            if boxes.shape[1] < 6:
                raise fault("this network has no detection layer; use ClassificationModel")
            labels = boxes[:, 5:].argmax(1)
            scores = boxes[np.arange(len(boxes)), 5 + labels]
            for at in np.flatnonzero(scores >= np.float32(confThreshold)):
                cx, cy, w, h = (int(v) for v in boxes[at, :4] * np.array([width, height] * 2, np.float32))
                left, top = max(0, min(cx - w // 2, width - 1)), max(0, min(cy - h // 2, height - 1))
                found.append((int(labels[at]), float(scores[at]),
                              [left, top, max(1, min(w, width - left)), max(1, min(h, height - top))]))
        if nmsThreshold:
            found = self._thinned(found, confThreshold, nmsThreshold)
        if not found:
            return (), (), ()
        return (np.array([f[0] for f in found], np.int32), np.array([f[1] for f in found], np.float32),
                np.array([f[2] for f in found], np.int32))

    def _thinned(self, found: list[tuple[int, float, list[int]]], least: float,
                 most: float) -> list[tuple[int, float, list[int]]]:
        groups = [found] if self._across else [
            [f for f in found if f[0] == number] for number in sorted({f[0] for f in found})]
        return [group[at] for group in groups
                for at in chosen([f[2] for f in group], [f[1] for f in group], least, most)]
