"""Pictures so large that late maps do not fit, in memory cgroups without swap: boxes as untiled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from darkfuse.host.units import parse_bytes
from tools import memory_limit
from tools.make_weights import make_weights

pytestmark = pytest.mark.slow
RUN = "import sys; from darkfuse.cli.main import main; sys.exit(main())"


@pytest.fixture(scope="module")
def photo(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6000x4000 pixels as a JPEG: 72 MB of pixels, more than any of these processes may take."""
    path = tmp_path_factory.mktemp("photos") / "large.jpg"
    Image.open(root / "docs" / "images" / "cat.jpg").resize((6000, 4000)).save(path, quality=85)
    return path


def found_in(limit: str, words: list[str], root: Path, folder: Path) -> dict:
    """What `detect --json` says of one picture in a cgroup of so much memory."""
    command = [sys.executable, "-c", RUN, "detect", "--exact", "--no-draw", "--json", "found.json", *words]
    environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    try:
        usage = memory_limit.run(command, limit, cold=[words[-1]], capture=True, cwd=str(folder),
                                 env=environment)
    except DarkfuseError as error:
        pytest.skip(str(error))
    assert usage.status == 0 and usage.oom_kills == 0, usage.stderr
    (frame,) = json.loads((folder / "found.json").read_text())
    return frame


def test_yolov2_tiny_at_2432(photo: Path, root: Path, tmp_path: Path) -> None:
    """Random weights see hundreds of objects, all of which are compared."""
    cfg, weights = str(root / "cfg" / "yolov2-tiny.cfg"), str(tmp_path / "net.weights")
    make_weights(load_graph(cfg), weights)
    words = [cfg, weights, "--size", "2432", "--thresh", "0.01", str(photo)]
    within = found_in("40M", ["--mem", "40M", *words], root, tmp_path)
    assert within["stats"]["peak_rss_bytes"] <= parse_bytes("40M")
    assert within["stats"]["bytes_read"] > 2 * Path(weights).stat().st_size  # in stripes
    whole = found_in("3G", ["--mem", "2.9G", "--plan", "1x1", *words], root, tmp_path)
    assert whole["stats"]["arena_bytes"] > 4 * within["stats"]["arena_bytes"]
    assert whole["stats"]["macs"] == within["stats"]["macs"]
    assert len(whole["objects"]) > 100 and whole["objects"] == within["objects"]


def test_the_shipped_model_as_large_as_the_picture(photo: Path, root: Path, tmp_path: Path) -> None:
    half = str(tmp_path / "half.png")
    Image.open(photo).reduce(2).save(half)
    within = found_in("40M", ["--mem", "40M", "--thresh", "0.1", "--size", "native", half], root, tmp_path)
    assert within["stats"]["network_size"] == [3008, 2016]
    assert within["stats"]["peak_rss_bytes"] <= parse_bytes("40M")
    words = ["--mem", "2.9G", "--plan", "1x1", "--thresh", "0.1", "--size", "3008x2016", half]
    whole = found_in("3G", words, root, tmp_path)
    assert whole["stats"]["arena_bytes"] > 4 * within["stats"]["arena_bytes"]
    assert whole["objects"] and whole["objects"] == within["objects"]
