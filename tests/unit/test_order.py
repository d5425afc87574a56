"""Options and files of a command in any order."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkfuse.cli.main import build_parser, darknet_spellings, main
from darkfuse.cli.order import options_first


@pytest.mark.parametrize(("given", "ordered"), [
    ("x.cfg x.weights --no-draw a.jpg", "--no-draw x.cfg x.weights a.jpg"),
    ("x.data -thresh 0.3 x.cfg --json - x.weights dog.jpg",
     "--thresh 0.3 --json - x.data x.cfg x.weights dog.jpg"),
    ("--thresh=.3 a.jpg --stats - b.jpg", "--thresh=.3 --stats a.jpg - b.jpg"),
    ("a.jpg --no-draw -- -b.jpg --stats", "--no-draw -- a.jpg -b.jpg --stats"),
    ("--tresh .3 a.jpg", "--tresh .3 a.jpg"),
    ("a.jpg --thresh", "--thresh a.jpg"),
])
def test_options_come_first(given: str, ordered: str) -> None:
    parser, _ = build_parser(["detect"])
    assert options_first(parser.verbs()["detect"], darknet_spellings(given.split())) == ordered.split()


@pytest.mark.parametrize("line", [
    "detect CFG WEIGHTS --no-draw CAT --thresh .4",
    "detect --no-draw CFG --thresh .4 WEIGHTS CAT",
    "detector test --no-draw CFG -thresh .4 -dont_show WEIGHTS -i 0 CAT",
])
def test_a_command_takes_them(line: str, root: Path, capsys) -> None:
    places = {"CFG": root / "cfg" / "darkfuse-voc7.cfg",
              "WEIGHTS": root / "weights" / "darkfuse-voc7.weights",
              "CAT": root / "docs" / "images" / "cat.jpg"}
    assert main([str(places.get(word, word)) for word in line.split()]) == 0
    assert "cat: " in capsys.readouterr().out
