"""ncnn, in float32 throughout."""

from __future__ import annotations

import numpy as np

from darkfuse.graph import load_graph
from tools.bench.ncnn_model import output_blobs, write_ncnn
from tools.bench.network import input_array, read_network
from tools.bench.peer import Forward, Job, Peer


class Ncnn(Peer):
    """Variants: '' as it comes, 'nowinograd', 'lean' (neither Winograd nor im2col with a matrix product)."""

    module = "ncnn"

    def version(self) -> str:
        import ncnn

        return str(ncnn.__version__)

    def prepare(self, job: Job) -> None:
        network = read_network(job.cfg, job.weights, job.size)
        write_ncnn(network, job.file("ncnn.param"), job.file("ncnn.bin"))
        with open(job.file("ncnn.outputs"), "w") as out:
            out.write(" ".join(output_blobs(network)))

    def start(self, job: Job, threads: int) -> Forward:
        import ncnn

        net = ncnn.Net()
        net.opt.num_threads = threads
        net.opt.use_winograd_convolution = self.variant == ""
        net.opt.use_sgemm_convolution = self.variant != "lean"
        for narrow in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, narrow, False)
        net.load_param(job.file("ncnn.param"))
        net.load_model(job.file("ncnn.bin"))
        with open(job.file("ncnn.outputs")) as file:
            names = file.read().split()
        image = input_array(load_graph(job.cfg), job.seed)

        def forward() -> list[np.ndarray]:
            extractor = net.create_extractor()
            extractor.input("data", ncnn.Mat(image))
            # copies: a blob's memory goes back to the extractor
            return [np.array(extractor.extract(name)[1]) for name in names]

        return forward
