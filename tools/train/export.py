"""A trained network as Darknet ``.weights`` (header 0.2.0, 64-bit count of images seen)."""

from __future__ import annotations

import argparse
import os
import struct
from pathlib import Path

import torch
from net import BN_EPS, Net


def save_darknet(net: Net, path: str | Path, seen: int) -> None:
    """Write the weights in Darknet's order, aside first and then renamed into place."""
    parts = [struct.pack("<iiiq", 0, 2, 0, seen)]
    with torch.no_grad():
        for _, conv in net.convolutions():
            if conv.bn is not None:
                # PyTorch's sqrt(v + eps) must equal Darknet's sqrt(v') + 1e-6.
                variance = ((conv.bn.running_var.double() + BN_EPS).sqrt() - 1e-6).square()
                tensors = [conv.bn.bias, conv.bn.weight, conv.bn.running_mean, variance]
            else:
                tensors = [conv.conv.bias]
            for tensor in (*tensors, conv.conv.weight):
                parts.append(tensor.float().contiguous().numpy().astype("<f4").tobytes())
    aside = Path(str(path) + ".part")
    aside.write_bytes(b"".join(parts))
    os.replace(aside, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cfg")
    parser.add_argument("checkpoint", help="a checkpoint of train.py; its averaged weights are exported")
    parser.add_argument("weights")
    args = parser.parse_args()
    net = Net(args.cfg)
    state = torch.load(args.checkpoint, weights_only=True)
    net.load_state_dict(state["average"])
    save_darknet(net, args.weights, state["seen"])


if __name__ == "__main__":
    main()
