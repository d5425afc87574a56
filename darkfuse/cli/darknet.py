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
    ("detector", "demo"): ["demo", "--words", "alexeyab"],
    ("detector", "map"): ["map", "--words", "alexeyab"],
    ("detector", "valid"): ["valid"],
    ("detector", "recall"): ["recall"],
    ("detector", "calc_anchors"): ["anchors"],
    ("classifier", "predict"): ["classify", "--words", "alexeyab"],
    ("classifier", "valid"): ["valid"],
    ("test", ""): ["detect", "--words", "alexeyab"],
}
FAMILIES = sorted({family for family, _ in COMMANDS})
# Flags without a meaning here, and how many words follow each: graphics cards, benchmarks, windows.
_DROPPED = {"-i": 1, "-gpus": 1, "-nogpu": 0, "-benchmark": 0, "-benchmark_layers": 0, "-clear": 0,
            "-time_limit_sec": 1, "-avgframes": 1, "-s": 1}
_RENAMED = {"-out_filename": "--out", "-c": "--camera", "-mjpeg_port": "--http", "-json_port": "--json-port"}
_OF_MAP = {"-thresh": "--conf-thresh"}  # its own threshold is fixed there
# Flags that a shell completes; those of one command only are among them
FLAGS = ("-thresh", "-ext_output", "-save_labels", "-letter_box", "-dont_show", "-out", "-prefix", "-points",
         "-iou_thresh", "-num_of_clusters", "-width", "-height", *_RENAMED)
_PORTS = ("-mjpeg_port", "-json_port")


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
        from darkfuse.host.suggest import did_you_mean

        known = [c for f, c in COMMANDS if f == family]
        hint = "; training is Darknet's" if command == "train" else did_you_mean(command, known)
        raise DarkfuseError(f"{family} {command}: darkfuse has {family} {', '.join(known)}{hint}"
                            .replace("  ", " ").replace(" : ", ": "))
    ours = COMMANDS[family, command]
    renamed = {**_RENAMED, **(_OF_MAP if ours[0] == "map" else {})}
    said = list(ours)
    while rest:
        word = rest.pop(0)
        if word in _DROPPED:
            del rest[: _DROPPED[word]]
        elif word == "-out":  # a JSON file for `test`, an ending for `valid`
            said.append("--json" if rest and rest[0].endswith(".json") else "--out")
        else:
            said.append(renamed.get(word, word))
            if word in _PORTS and rest:  # Darknet serves everybody who can reach the machine
                said.append("0.0.0.0:" + rest.pop(0))
    return said
