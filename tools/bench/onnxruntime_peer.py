"""onnxruntime on the ONNX model made from the cfg."""

from __future__ import annotations

import numpy as np

from darkfuse.graph import load_graph
from tools.bench.network import input_arrays, read_network
from tools.bench.onnx_model import write_onnx
from tools.bench.peer import Forward, Job, Peer


class OnnxRuntime(Peer):
    """Variants: '' as it comes; 'lean' maps its weights, packs none of them and keeps no memory pool."""

    module = "onnxruntime"
    batches = True

    def version(self) -> str:
        import onnx
        import onnxruntime

        del onnx  # writes the model
        return str(onnxruntime.__version__)

    def prepare(self, job: Job) -> None:
        network = read_network(job.cfg, job.weights, job.size)
        write_onnx(network, job.file(self._model), self.variant == "lean", job.batch)

    def start(self, job: Job, threads: int) -> Forward:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if self.variant == "lean":
            options.add_session_config_entry("session.disable_prepacking", "1")
            options.enable_cpu_mem_arena = False
            options.enable_mem_pattern = False
        session = onnxruntime.InferenceSession(job.file(self._model), options, ["CPUExecutionProvider"])
        image = input_arrays(load_graph(job.cfg), job)

        def forward() -> list[np.ndarray]:
            return [out[0] for out in session.run(None, {"data": image})]

        return forward

    @property
    def _model(self) -> str:
        return "lean.onnx" if self.variant == "lean" else "model.onnx"
