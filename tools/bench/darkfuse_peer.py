"""darkfuse itself, weights resident, through its Python interface."""

from __future__ import annotations

import numpy as np

from tools.bench.network import input_array, without_heads
from tools.bench.peer import Forward, Job, Peer


class Darkfuse(Peer):
    """Variants: '' the fastest kernels, 'exact'."""

    module = "darkfuse"
    batches = True

    def version(self) -> str:
        import darkfuse

        return str(darkfuse.__version__)

    def start(self, job: Job, threads: int) -> Forward:
        import darkfuse

        exact = self.variant == "exact"
        net = darkfuse.load(job.cfg, job.weights, threads=threads, mem="resident", exact=exact)
        image = input_array(net.graph, job.seed)
        outputs = without_heads(net.graph)[1]

        def forward() -> list[np.ndarray]:
            for _ in range(job.batch):  # with its weights resident it is as fast one after another
                maps = net.forward(image, outputs)
            return [maps[index] for index in outputs]

        return forward
