"""Darknet's own commands, as hands know them, turned into ours: `darkfuse detector test coco.data x.cfg ...`.

One table names the verb each command becomes; another says what becomes of each flag. What is left of
Darknet's flags after that is the same in both: `-thresh`, `-ext_output`, `-letter_box`, `-dont_show`,
`-save_labels`.
"""

from __future__ import annotations

from collections.abc import Sequence

from darkfuse.errors import DarkfuseError

# Darknet's command: our verb, and what is added to say it in AlexeyAB's words.
COMMANDS: dict[tuple[str, str], list[str]] = {
    ("detector", "test"): ["detect", "--words", "alexeyab"],
    ("detector", "demo"): ["demo"],
    ("detector", "map"): ["map"],
    ("detector", "valid"): ["valid"],
    ("detector", "recall"): ["recall"],
    ("detector", "calc_anchors"): ["anchors"],
    ("classifier", "predict"): ["classify"],
    ("classifier", "valid"): ["valid"],
    ("test", ""): ["detect", "--words", "alexeyab"],
}
FAMILIES = sorted({family for family, _ in COMMANDS})
# Flags without a meaning here, and how many words follow each: graphics cards, benchmarks, windows.
_DROPPED = {"-i": 1, "-gpus": 1, "-nogpu": 0, "-benchmark": 0, "-benchmark_layers": 0, "-clear": 0,
            "-hier": 1, "-points": 1, "-iou_thresh": 1, "-time_limit_sec": 1, "-avgframes": 1, "-s": 1}
_RENAMED = {"-out_filename": "--out", "-c": "--camera", "-mjpeg_port": "--http", "-json_port": "--json-port"}
_PORTS = ("-mjpeg_port", "-json_port")
_VALUED = ("-thresh", "-nms", "-mem", "-threads", "-names", "-size", "-dialect", "-json", "-prefix", "-t",
           "-num_of_clusters", "-width", "-height", *_RENAMED)


def translated(words: Sequence[str]) -> list[str]:
    """Darknet's words as ours; those that begin with none of its commands come back as they are.

    Raises
    ------
    DarkfuseError
        A command of Darknet's that darkfuse does not have.
    """
    if not words or words[0] not in FAMILIES:
        return list(words)
    family, rest = words[0], list(words[1:])
    command = rest.pop(0) if family != "test" and rest else ""
    if (family, command) not in COMMANDS:
        known = ", ".join(c for f, c in COMMANDS if f == family)
        raise DarkfuseError(f"{family} {command}: darkfuse has {family} {known}".replace("  ", " ")
                            + ("; training is Darknet's" if command == "train" else ""))
    ours = COMMANDS[family, command]
    flags, files = _sorted(rest, ours[0])
    return [*ours, *_placed(ours[0], files), *flags]


def _sorted(words: list[str], verb: str) -> tuple[list[str], list[str]]:
    """Flags in our spelling, and the files between them."""
    flags: list[str] = []
    files: list[str] = []
    while words:
        word = words.pop(0)
        if word in _DROPPED:
            del words[: _DROPPED[word]]
        elif word == "-out":  # a JSON file for `test`, an ending for `valid`
            value = words.pop(0) if words else ""
            flags += ["--json" if value.endswith(".json") else "--out", value]
        elif word.replace("--", "-", 1) in _VALUED:
            value = words.pop(0) if words else ""
            # Darknet serves everybody who can reach the machine
            flags += [_RENAMED.get(word, word), "0.0.0.0:" + value if word in _PORTS else value]
        elif word.startswith("-") and word != "-":
            flags.append(word)
        else:
            files.append(word)
    return flags, files


def _placed(verb: str, files: list[str]) -> list[str]:
    """Files in our order: `map` wants its data last, and `demo` names its film."""
    if verb == "map" and files and files[0].endswith(".data"):
        return [*files[1:], files[0]]
    if verb == "demo":
        films = [f for at, f in enumerate(files) if not f.endswith((".data", ".cfg", ".weights")) and at]
        rest = [f for f in files if f not in films]
        return [*rest, *(["--video", films[-1]] if films else [])]
    return files
