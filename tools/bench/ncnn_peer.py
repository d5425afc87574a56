"""ncnn, in float32 throughout but for weights and maps of the variant that says so."""

from __future__ import annotations

import numpy as np

from darkfuse.graph import load_graph
from tools.bench.ncnn_model import output_blobs, write_ncnn
from tools.bench.network import input_array, read_network, without_heads
from tools.bench.peer import Forward, Job, Peer


class Ncnn(Peer):
    """Variants: '' as it comes, 'nowinograd', 'lean' (neither Winograd nor im2col with a matrix product),
    'bf16' (weights and maps stored in 16 bits)."""

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
        net.opt.use_winograd_convolution = self.variant in ("", "bf16")
        net.opt.use_sgemm_convolution = self.variant != "lean"
        for narrow in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, narrow, narrow == "use_bf16_storage" and self.variant == "bf16")
        net.load_param(job.file("ncnn.param"))
        net.load_model(job.file("ncnn.bin"))
        with open(job.file("ncnn.outputs")) as file:
            names = file.read().split()
        graph = load_graph(job.cfg)
        image = input_array(graph, job.seed)
        shapes = [graph.shape(index) for index in without_heads(graph)[1]]

        def forward() -> list[np.ndarray]:
            extractor = net.create_extractor()
            extractor.input("data", ncnn.Mat(image))
            # copies: a blob's memory goes back to the extractor; pooled maps come as vectors
            return [np.array(extractor.extract(name)[1]).reshape(shape.c, shape.h, shape.w)
                    for name, shape in zip(names, shapes)]

        return forward
