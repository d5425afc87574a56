"""Every call a Darknet program makes of `cv2.dnn`, and what it returns, written to an .npz.

    python dnn_script.py cv2|darkfuse CFG WEIGHTS IMAGE OUT.npz

The same text runs against both; the test compares the files.
"""

from __future__ import annotations

import sys

import numpy as np


def calls(dnn, cfg: str, weights: str, image: np.ndarray):
    """(what, value) of each call."""
    yield "NMSBoxes empty", dnn.NMSBoxes([], [], 0.1, 0.4)
    rng = np.random.default_rng(7)
    boxes = [[int(v) for v in row] for row in rng.integers(1, 90, (60, 4))]
    scores = [float(s) for s in rng.random(60).astype(np.float32)]
    ids = [int(i) for i in rng.integers(0, 3, 60)]
    for limits in ((0.1, 0.4), (0.5, 0.2), (0.99, 0.4)):
        yield f"NMSBoxes {limits}", dnn.NMSBoxes(boxes, scores, *limits)
        yield f"NMSBoxesBatched {limits}", dnn.NMSBoxesBatched(boxes, scores, ids, *limits)
    yield "NMSBoxes eta top_k", dnn.NMSBoxes(boxes, scores, 0.1, 0.7, 0.9, 20)
    odd = image[:333, :517]
    for size in ((0, 0), (416, 416), (96, 64), (600, 500)):
        for crop in (False, True):
            for swap in (False, True):
                blob = dnn.blobFromImage(odd, 0.00392, size, (1, 2, 3), swap, crop)
                yield f"blob {size} {crop} {swap}", blob
        yield f"blob 8U {size}", dnn.blobFromImage(odd, 1.0, size, (), True, False, 0)
        yield f"blob float {size}", dnn.blobFromImage(odd.astype(np.float32) / 3, 1.0, size, (), True, False)
        yield f"blob grey {size}", dnn.blobFromImage(odd[..., 0].copy(), 1.0, size)
    two = dnn.blobFromImages([odd, image], 1 / 255.0, (64, 64))
    yield "blobs", two
    for at, back in enumerate(dnn.imagesFromBlob(two)):
        yield f"imagesFromBlob {at}", back

    net = dnn.readNetFromDarknet(cfg, weights)
    net.setPreferableBackend(dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(dnn.DNN_TARGET_CPU)
    names = net.getLayerNames()
    yield "names", np.array(names)
    yield "types", np.array([net.getLayer(at).type for at in range(1, len(names) + 1)])
    yield "getLayerTypes", np.array(net.getLayerTypes())
    yield "getLayersCount", np.array(net.getLayersCount("Convolution"))
    yield "getLayerId", np.array([net.getLayerId(names[-1]), net.getLayerId(names[0])])
    outs = net.getUnconnectedOutLayersNames()
    yield "outs", np.array(outs)
    yield "out ids", net.getUnconnectedOutLayers()
    yield "empty", np.array(net.empty())
    classifies = "softmax" in names[-1]
    side = 128 if "enet" in cfg else 224
    shape = (1, 3, side, side)
    yield "getFLOPS", np.array(net.getFLOPS(shape))
    yield "getFLOPS of layers", np.array([net.getFLOPS(at, shape) for at in range(1, len(names) + 1)])
    yield "input", np.array([net.getLayer(0).type, str(net.getLayer(0).outputNameToIndex("im_info"))])
    net.setInputsNames(["data"])
    net.setInputShape("data", shape)
    yield "getMemoryConsumption", np.array(net.getMemoryConsumption(shape))
    blob = dnn.blobFromImage(image, 1 / 255.0, (side, side), (0, 0, 0), True, crop=False)
    net.setInput(blob)
    yield "forward", net.forward()
    yield "forward name", net.forward(outs[0])
    for at, output in enumerate(net.forward(outs)):
        yield f"forward names {at}", output
    for at, output in enumerate(net.forwardAndRetrieve(outs)):
        yield f"forwardAndRetrieve {at}", output[0]
    # OpenCV forgets a factor given to a net that has run without one, so this is a net of its own
    fresh = dnn.readNet(weights, cfg)
    fresh.setInput((blob * 255).astype(np.float32), "", 1 / 255.0)
    yield "forward scaled", fresh.forward(outs[-1])
    net.setInput(np.concatenate([blob, blob[:, :, ::-1]]))
    if "enet" not in cfg:  # OpenCV 4.14 fails at its scale_channels for two pictures
        for at, output in enumerate(net.forward(outs)):
            yield f"forward batch {at}", output
    net.setInput(dnn.blobFromImage(image, 1 / 255.0, (160, 96), (0, 0, 0), True))
    if not classifies:
        yield "forward other size", net.forward(outs[0])
    model = dnn.ClassificationModel(net) if classifies else dnn.DetectionModel(net)
    model.setInputParams(size=(side, side), scale=1 / 255.0, swapRB=True)
    for at, output in enumerate(model.predict(image)):
        yield f"predict {at}", output
    if classifies:
        yield "classify", np.array(model.classify(image))
        return
    for limits in ((0.25, 0.4), (0.1, 0.4), (0.1, 0.0), (0.999, 0.4)):
        for what, value in zip(("ids", "scores", "boxes"), model.detect(image, *limits)):
            yield f"detect {limits} {what}", value
    model.setNmsAcrossClasses(True)
    for what, value in zip(("ids", "scores", "boxes"), model.detect(image, 0.1, 0.3)):
        yield f"detect across {what}", value


def main() -> None:
    library, cfg, weights, picture, out = sys.argv[1:]
    image = np.load(picture)
    if library == "cv2":
        import cv2
        dnn = cv2.dnn
    else:
        from darkfuse import dnn
    found = dict(calls(dnn, cfg, weights, image))
    np.savez(out, **{f"{name}|{type(value).__name__}": np.asarray(value) for name, value in found.items()})


if __name__ == "__main__":
    main()
