"""The calls of `cv2.dnn` for Darknet's networks, in one place: `from darkfuse import dnn`.

    >>> from darkfuse import dnn                       # was: from cv2 import dnn
    >>> net = dnn.readNetFromDarknet("yolov4-tiny.cfg", "yolov4-tiny.weights")
    >>> net.setInput(dnn.blobFromImage(frame, 1 / 255, (416, 416), swapRB=True))
    >>> for rows in net.forward(net.getUnconnectedOutLayersNames()): ...

Shapes, orders, dtypes and rounding are those of OpenCV 4.14. What darkfuse adds: `Net.setMemory("48M")`, or
DARKFUSE_MEM in the environment, is a budget for the whole process.
"""

from __future__ import annotations

from darkfuse.compat.blobs import CV_8U, CV_32F, blobFromImage, blobFromImages, imagesFromBlob
from darkfuse.compat.boxes import NMSBoxes, NMSBoxesBatched
from darkfuse.compat.fault import error
from darkfuse.compat.models import ClassificationModel, DetectionModel, Model
from darkfuse.compat.net import Net
from darkfuse.compat.read import readNet, readNetFromDarknet

DNN_BACKEND_DEFAULT, DNN_BACKEND_HALIDE, DNN_BACKEND_INFERENCE_ENGINE, DNN_BACKEND_OPENCV = range(4)
DNN_BACKEND_VKCOM, DNN_BACKEND_CUDA, DNN_BACKEND_WEBNN, DNN_BACKEND_TIMVX, DNN_BACKEND_CANN = range(4, 9)
DNN_TARGET_CPU, DNN_TARGET_OPENCL, DNN_TARGET_OPENCL_FP16, DNN_TARGET_MYRIAD, DNN_TARGET_VULKAN = range(5)
DNN_TARGET_FPGA, DNN_TARGET_CUDA, DNN_TARGET_CUDA_FP16, DNN_TARGET_HDDL, DNN_TARGET_NPU = range(5, 10)
DNN_TARGET_CPU_FP16 = 10


def getAvailableTargets(be: int) -> tuple[int, ...]:
    """Targets of a backend: the processor."""
    return (DNN_TARGET_CPU,) if be in (DNN_BACKEND_DEFAULT, DNN_BACKEND_OPENCV) else ()


__all__ = [
    "CV_8U", "CV_32F", "ClassificationModel", "DetectionModel", "Model", "NMSBoxes", "NMSBoxesBatched", "Net",
    "blobFromImage", "blobFromImages", "error", "getAvailableTargets", "imagesFromBlob", "readNet",
    "readNetFromDarknet", *(name for name in list(globals()) if name.startswith("DNN_")),
]
