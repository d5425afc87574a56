"""Cfgs in shorthand: a network as a line of words, written out as the sections that Darknet reads.

| word | section |
|---|---|
| `64/3s2` | convolution of 64 filters of 3x3, stride 2, padded, with batch norm and the usual activation |
| `64/3g64`, `d2`, `@5` | with 64 groups; dilation 2; the weights of layer 5 (`share_index`) |
| `64/3x`, `n`, `p0`, `:relu` | `xnor=1`; no batch norm; `pad=0`; an activation of its own |
| `max2/2`, `max3/2p0`, `lavg4/4`, `avg` | pooling: size and stride, padding; averages; of a whole map |
| `r-1,-7`, `half-1` | route; the second half of a map's channels |
| `+3`, `+4:leaky`, `+@8:leaky` | shortcut from 3 (4) layers back, or from layer 8 |
| `sam-2`, `mul-4` | [sam] and [scale_channels] with `from` |
| `up2`, `reorg2`, `space2` | upsample, reorg, reorg3d |
| `fc512:ramp`, `local256` | connected (linear if nothing is said), local of 3x3 |
| `crop448`, `drop`, `norm`, `soft`, `cost` | sections whose options are all the same |
| `head6,7,8`, `head3,4,5*1.1` | the section called `head` with that mask, and `scale_x_y` |
| `[crnn]` | a section of that name, without options |
| `3(64/1 64/3 +3)` | what is in the brackets, three times |
| `use:leaky` | no section: the usual activation from here on |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

CONVOLUTION = re.compile(r"(\d+)/(\d+)(?:s(\d+))?(?:g(\d+))?(?:d(\d+))?(?:@(\d+))?(x?)(n?)(?:p(\d+))?"
                         r"(?::(\w+))?")
POOLING = re.compile(r"(max|lavg)(\d+)/(\d+)(?:p(\d+))?")
SUM = re.compile(r"\+(@?)(\d+)(?::(\w+))?")
NUMBERED = re.compile(r"(sam|mul|up|reorg|space|fc|local|crop)(-?\d+)(?::(\w+))?")
REPEATED = re.compile(r"(\d+)\(([^()]*)\)")
FIXED: dict[str, tuple[str, dict[str, Any]]] = {
    "avg": ("avgpool", {}), "drop": ("dropout", {"probability": 0.5}), "norm": ("batchnorm", {}),
    "soft": ("softmax", {"groups": 1}), "cost": ("cost", {"type": "sse"}),
}


def cfg(words: str, width: int, height: int = 0, usual: str = "leaky", head: str = "yolo",
        options: Mapping[str, Any] | None = None, net: Mapping[str, Any] | None = None) -> str:
    """The text of a cfg. `usual`: activation of convolutions; `head`, `options`: the section of the boxes."""
    parts = [section("net", {"width": width, "height": height or width, "channels": 3, **(net or {})})]
    for word in expanded(words):
        if word.startswith("use:"):
            usual = word[4:]
        else:
            parts.append(section(*layer(word, usual, head, options or {})))
    return "\n".join(parts)


def expanded(words: str) -> list[str]:
    """The words, those in brackets as often as they stand for; `|` is for the reader."""
    while REPEATED.search(words):
        words = REPEATED.sub(lambda found: f"{found[2]} " * int(found[1]), words)
    return words.replace("|", " ").split()


def count(words: str) -> int:
    """How many layers the words are."""
    return sum(not word.startswith("use:") for word in expanded(words))


def section(kind: str, options: Mapping[str, Any]) -> str:
    """One section's text."""
    return f"[{kind}]\n" + "".join(f"{key}={value}\n" for key, value in options.items())


def layer(word: str, usual: str, head: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A word's section and options; ValueError for a word that is none."""
    if word in FIXED:
        return FIXED[word]
    if found := CONVOLUTION.fullmatch(word):
        return "convolutional", convolution(found, usual)
    if found := POOLING.fullmatch(word):
        kind = "maxpool" if found[1] == "max" else "local_avgpool"
        padding = {} if found[4] is None else {"padding": found[4]}
        return kind, {"size": found[2], "stride": found[3], **padding}
    if found := SUM.fullmatch(word):
        return "shortcut", {"from": found[2] if found[1] else f"-{found[2]}",
                            "activation": found[3] or "linear"}
    if found := NUMBERED.fullmatch(word):
        return numbered(found[1], found[2], found[3])
    if word.startswith("half"):
        return "route", {"layers": word[4:], "groups": 2, "group_id": 1}
    if word.startswith("head"):
        mask, _, scale = word[4:].partition("*")
        first = {"mask": mask} if mask else {}
        return head, {**first, **options, **({"scale_x_y": scale} if scale else {})}
    if word.startswith("["):
        return word[1:-1], {}
    if re.fullmatch(r"r-?\d+(,-?\d+)*", word):
        return "route", {"layers": word[1:]}
    raise ValueError(f"{word!r} is no word of the shorthand")


def convolution(found: re.Match[str], usual: str) -> dict[str, Any]:
    """Options of a convolution."""
    filters, size, stride, groups, dilation, shared, xnor, plain, pad, activation = found.groups()
    wanted = {"xnor": 1 if xnor else None, "batch_normalize": None if plain else 1, "share_index": shared,
              "dilation": dilation, "groups": groups, "filters": filters, "size": size,
              "stride": stride or 1, "pad": pad or 1, "activation": activation or usual}
    return {key: value for key, value in wanted.items() if value is not None}


def numbered(name: str, number: str, activation: str | None) -> tuple[str, dict[str, Any]]:
    """Section and options of a word with one number."""
    if name in ("sam", "mul"):
        return ("sam" if name == "sam" else "scale_channels"), {"from": number}
    if name in ("up", "reorg", "space"):
        return {"up": "upsample", "reorg": "reorg", "space": "reorg3d"}[name], {"stride": number}
    if name == "fc":
        return "connected", {"output": number, "activation": activation or "linear"}
    if name == "local":
        return "local", {"size": 3, "stride": 1, "pad": 1, "filters": number, "activation": "leaky"}
    return "crop", {"crop_width": number, "crop_height": number, "flip": 0, "angle": 0}
