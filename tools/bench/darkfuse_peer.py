"""darkfuse itself, weights resident, through its Python interface."""

from __future__ import annotations

import numpy as np

from darkfuse.graph import load_graph
from tools.bench.network import input_array
from tools.bench.peer import Forward, Job, Peer


class Darkfuse(Peer):
    """Variants: '' the fastest kernels, 'exact'."""

    module = "darkfuse"

    def version(self) -> str:
        import darkfuse

        return str(darkfuse.__version__)

    def start(self, job: Job, threads: int) -> Forward:
        import darkfuse

        net = darkfuse.load(
            job.cfg, job.weights, threads=threads, mem="resident", exact=self.variant == "exact"
        )
        image = input_array(load_graph(job.cfg), job.seed)

        def forward() -> list[np.ndarray]:
            return list(net.forward(image))

        return forward
