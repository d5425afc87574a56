"""OpenVINO's CPU plugin, in float32 (newer processors would have it choose bfloat16)."""

from __future__ import annotations

import numpy as np

from darkfuse.graph import load_graph
from tools.bench.network import input_arrays, read_network
from tools.bench.onnx_model import write_onnx
from tools.bench.peer import Forward, Job, Peer


class OpenVino(Peer):
    """Reads its own format, converted from ONNX: that is the leaner way to load."""

    module = "openvino"
    batches = True

    def version(self) -> str:
        import onnx
        import openvino

        del onnx  # writes the model
        return str(openvino.__version__).split("-")[0]

    def prepare(self, job: Job) -> None:
        import openvino

        source = job.file("for-openvino.onnx")
        write_onnx(read_network(job.cfg, job.weights, job.size), source, batch=job.batch)
        openvino.save_model(openvino.convert_model(source), job.file("openvino.xml"), compress_to_fp16=False)

    def start(self, job: Job, threads: int) -> Forward:
        import openvino

        wishes = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        }
        compiled = openvino.Core().compile_model(job.file("openvino.xml"), "CPU", wishes)
        request = compiled.create_infer_request()
        image = input_arrays(load_graph(job.cfg), job)

        def forward() -> list[np.ndarray]:
            results = request.infer({0: image}, share_inputs=True)
            return [np.array(results[i])[0] for i in range(len(compiled.outputs))]

        return forward
