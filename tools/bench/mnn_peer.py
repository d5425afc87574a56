"""MNN, in float32, on the model its own converter makes of the ONNX one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from tools.bench.network import input_array, read_network, without_heads
from tools.bench.onnx_model import write_onnx
from tools.bench.peer import Forward, Job, Peer


class Mnn(Peer):
    module = "MNN"

    def version(self) -> str:
        import MNN
        import onnx

        del onnx  # writes the model
        return str(MNN.version())

    def prepare(self, job: Job) -> None:
        write_onnx(read_network(job.cfg, job.weights, job.size), job.file("for-mnn.onnx"), external=False)
        words = ["-f", "ONNX", "--modelFile", job.file("for-mnn.onnx"), "--MNNModel", job.file("model.mnn"),
                 "--bizCode", "darkfuse"]
        convert = "import sys; from MNN.tools.mnnconvert import main; sys.argv[0] = 'mnnconvert'; main()"
        done = subprocess.run([sys.executable, "-c", convert, *words], capture_output=True, text=True)
        if done.returncode:
            raise DarkfuseError(f"MNN's converter: {(done.stderr or done.stdout).strip()[-200:]}")

    def start(self, job: Job, threads: int) -> Forward:
        import MNN

        model = MNN.Interpreter(job.file("model.mnn"))
        session = model.createSession({"backend": "CPU", "numThread": threads, "precision": "high"})
        graph = load_graph(job.cfg)
        image = np.ascontiguousarray(input_array(graph, job.seed)[None])
        planes = MNN.Tensor_DimensionType_Caffe
        feed = MNN.Tensor(image.shape, MNN.Halide_Type_Float, image, planes)
        into = model.getSessionInput(session)
        indices = without_heads(graph)[1]
        shapes = [graph.shape(index) for index in indices]
        sources = [model.getSessionOutput(session, f"l{index}") for index in indices]
        outputs = [np.empty((1, shape.c, shape.h, shape.w), np.float32) for shape in shapes]
        tensors = [MNN.Tensor(out.shape, MNN.Halide_Type_Float, out, planes) for out in outputs]

        def forward() -> list[np.ndarray]:
            into.copyFrom(feed)
            model.runSession(session)
            found = []
            for source, tensor, out in zip(sources, tensors, outputs):
                source.copyToHostTensor(tensor)
                found.append(np.array(tensor.getNumpyData(), np.float32).reshape(out.shape[1:]))
            return found

        return forward
