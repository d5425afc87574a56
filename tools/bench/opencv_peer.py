"""OpenCV's DNN module, which read Darknet's files itself until version 5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from tools.bench.network import input_array, without_heads
from tools.bench.peer import Forward, Job, Peer


class OpenCV(Peer):
    """Variants: '' as it comes, 'nowinograd'."""

    module = "cv2"

    def version(self) -> str:
        import cv2

        if int(cv2.__version__.split(".")[0]) >= 5:
            raise DarkfuseError(f"OpenCV {cv2.__version__} no longer reads Darknet models; version 4 does")
        return str(cv2.__version__)

    def start(self, job: Job, threads: int) -> Forward:
        import cv2

        cv2.setNumThreads(threads)
        dnn: Any = cv2.dnn  # the importer is unknown to OpenCV 5's types
        net = dnn.readNetFromDarknet(job.cfg, job.weights)
        net.enableWinograd(self.variant != "nowinograd")
        graph = load_graph(job.cfg)
        names = [_name(net.getLayerNames(), index) for index in without_heads(graph)[1]]
        image = input_array(graph, job.seed)[None]

        def forward() -> list[np.ndarray]:
            net.setInput(image)
            return [np.asarray(out)[0] for out in net.forward(names)]

        return forward


def _name(names: Sequence[str], index: int) -> str:
    """The last of the steps OpenCV makes of Darknet layer `index`; each is named `<kind>_<index>`."""
    return [name for name in names if name.rpartition("_")[2] == str(index)][-1]
