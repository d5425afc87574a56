"""The configurations there are to measure, by name."""

from __future__ import annotations

from tools.bench.darkfuse_peer import Darkfuse
from tools.bench.mnn_peer import Mnn
from tools.bench.ncnn_peer import Ncnn
from tools.bench.onnxruntime_peer import OnnxRuntime
from tools.bench.opencv_peer import OpenCV
from tools.bench.openvino_peer import OpenVino
from tools.bench.peer import Peer

PEERS: dict[str, Peer] = {
    "darkfuse": Darkfuse(),
    "darkfuse-exact": Darkfuse("exact"),
    "ncnn": Ncnn(),
    "ncnn-nowinograd": Ncnn("nowinograd"),
    "mnn": Mnn(),
    "onnxruntime": OnnxRuntime(),
    "openvino": OpenVino(),
    "opencv": OpenCV(),
    "ncnn-bf16": Ncnn("bf16"),
    "ncnn-lean": Ncnn("lean"),
    "onnxruntime-lean": OnnxRuntime("lean"),
    "opencv-nowinograd": OpenCV("nowinograd"),
}

# The others give up speed for memory: worth a column when asked for, not in every run.
USUAL = ("darkfuse", "darkfuse-exact", "ncnn", "ncnn-nowinograd", "mnn", "onnxruntime", "openvino", "opencv")
