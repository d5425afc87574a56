"""`tools/optimize_cfg.py`: what it writes runs as planned, and what it cannot do it says in a line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from darkfuse.graph import load_graph
from darkfuse.plan.show.annotate import read_annotation
from tools import optimize_cfg
from tools.make_weights import make_weights
from tools.optimize_cfg import main

MB = 1 << 20


@pytest.fixture
def cfg(root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "yolov2-tiny.cfg"
    path.write_bytes((root / "cfg" / "yolov2-tiny.cfg").read_bytes())
    return path


def run(*words: str) -> int:
    return main([*words, "--device", "rpi4", "--threads", "2"])


def test_it_writes_beside_the_cfg_and_says_so(cfg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(cfg), "--mem", "40M") == 0
    out = cfg.with_name("yolov2-tiny.40M.cfg")
    assert str(out) in capsys.readouterr().out
    plan = read_annotation(load_graph(str(out)))
    assert plan is not None and plan.budget_bytes == 40 * MB and 0 < plan.predicted_peak_bytes <= 40 * MB
    first = out.read_bytes()
    assert run(str(cfg), "--mem", "40M") == 0 and out.read_bytes() == first


def test_planning_a_planned_cfg_again_replaces_the_plan(cfg: Path) -> None:
    assert run(str(cfg), "--mem", "40M") == 0
    assert run(str(cfg.with_name("yolov2-tiny.40M.cfg")), "--mem", "28M") == 0
    assert run(str(cfg), "--mem", "28M", "-o", str(cfg.with_name("direct.cfg"))) == 0
    again, direct = cfg.with_name("yolov2-tiny.28M.cfg"), cfg.with_name("direct.cfg")
    plans = [read_annotation(load_graph(str(path))) for path in (again, direct)]
    assert plans[0] is not None and plans[1] is not None and plans[0].groups == plans[1].groups
    assert again.read_text().count("fuse_plan=") == 1


def test_json_and_the_other_questions(cfg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def asked(*words: str) -> dict:
        assert run(str(cfg), *words, "--json", "-", "-o", str(cfg.with_name("out.cfg"))) == 0
        return json.loads(capsys.readouterr().out)

    small, fast = asked("--min-mem"), asked("--mem", "200M")
    assert small["arena_bytes"] < fast["arena_bytes"] / 3
    assert small["predicted_latency_ms"] > fast["predicted_latency_ms"]
    assert {"predicted_peak_bytes", "predicted_latency_ms", "search_seconds"} <= set(small)
    wish = (small["predicted_latency_ms"] + fast["predicted_latency_ms"]) / 2
    between = asked("--latency", f"{wish:.1f}")
    assert between["predicted_latency_ms"] <= 1.02 * wish
    assert small["arena_bytes"] <= between["arena_bytes"] < fast["arena_bytes"]
    hand = asked("--config", "5x5/8/p")
    assert hand["plan"]["groups"][0]["grid"] == [5, 5]
    paper = asked("--mem", "200M", "--algorithm", "mafat")
    assert all(group["grid"][0] == group["grid"][1] <= 5 for group in paper["plan"]["groups"])


def test_pareto_is_a_falling_table(cfg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(cfg), "--pareto", "--json", str(cfg.with_name("all.json"))) == 0
    assert len(capsys.readouterr().out.splitlines()) > 4
    plans = json.loads(cfg.with_name("all.json").read_text())
    for smaller, larger in zip(plans, plans[1:]):
        assert smaller["arena_bytes"] < larger["arena_bytes"]
        assert smaller["predicted_latency_ms"] > larger["predicted_latency_ms"]


def test_a_checkout_that_is_not_built_is_one_line(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "darkfuse", tmp_path / "darkfuse", ignore=shutil.ignore_patterns("*.so", "*.c"))
    (tmp_path / "tools").mkdir()
    shutil.copy(root / "tools" / "optimize_cfg.py", tmp_path / "tools")
    # -S: without what is installed, which goes first
    command = [sys.executable, "-S", "-E", str(tmp_path / "tools" / "optimize_cfg.py")]
    command += [str(root / "cfg" / "yolov2-tiny.cfg"), "--mem", "48M", "-o", str(tmp_path / "o.cfg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not (tmp_path / "o.cfg").exists()
    assert done.stderr.count("\n") == 1 and "native code is not built" in done.stderr


@pytest.mark.parametrize("size", ["41943040", "40MiB", "0.0390625G", "40960K"])
def test_amounts_as_people_write_them(cfg: Path, size: str) -> None:
    assert run(str(cfg), "--mem", size, "-o", str(cfg.with_name("out.cfg"))) == 0
    plan = read_annotation(load_graph(str(cfg.with_name("out.cfg"))))
    assert plan is not None and plan.budget_bytes == 40 * MB


@pytest.mark.parametrize(("words", "says"), [
    (["--mem", "0"], "no memory at all"),
    (["--mem=-48M"], "is not an amount of memory"),
    (["--mem", "fortyeight"], "is not an amount of memory"),
    (["--mem", "1M"], "the least that works is"),
    (["--mem", "1M", "--algorithm", "mafat"], "the least that works is"),
    ([], "ask one thing"),
    (["--mem", "48M", "--pareto"], "ask one thing"),
    (["--latency", "0"], "is no time"),
    (["--latency", "0.001"], "no plan is predicted to run in"),
    (["--config", "99x99x99"], "plan '99x99x99'"),
    (["--min-mem", "--algorithm", "mafat"], "--mem SIZE only"),
])
def test_bad_wishes_are_one_line_and_write_nothing(cfg: Path, words: list[str], says: str,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(cfg.parent.iterdir())
    assert run(str(cfg), *words) == 2
    said = capsys.readouterr()
    assert says in said.err and said.err.count("\n") == 1 and not said.out
    assert sorted(cfg.parent.iterdir()) == before


def test_a_cfg_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path / "none.cfg"), "--mem", "48M") == 2
    assert "no such cfg file" in capsys.readouterr().err
    assert run(str(tmp_path), "--mem", "48M") == 2


def test_an_output_folder_that_is_not_there(cfg: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(cfg), "--mem", "48M", "-o", str(cfg.parent / "no" / "out.cfg")) == 2
    assert "cannot write the cfg" in capsys.readouterr().err


def test_detect_runs_it_as_planned(root: Path, cfg: Path) -> None:
    """The arena of the run is the plan's, to the byte, and the process stays within what was predicted."""
    from PIL import Image

    photo, weights = cfg.with_name("photo.png"), cfg.with_name("random.weights")
    Image.radial_gradient("L").resize((416, 416)).convert("RGB").save(photo)
    make_weights(load_graph(str(cfg)), str(weights))
    assert run(str(cfg), "--mem", "30M") == 0
    planned = cfg.with_name("yolov2-tiny.30M.cfg")
    plan = read_annotation(load_graph(str(planned)))
    done = subprocess.run([sys.executable, "-m", "darkfuse", "detect", str(planned), str(weights),
                           str(photo), "--no-draw", "--json", "-"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stats = json.loads(done.stdout)[0]["stats"]
    assert plan is not None and stats["arena_bytes"] == plan.arena_bytes
    assert stats["peak_rss_bytes"] <= plan.predicted_peak_bytes


def test_memory_refused_is_a_line(monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    def refused(_args: object) -> int:
        raise MemoryError

    monkeypatch.setattr(optimize_cfg, "run", refused)
    assert optimize_cfg.main([]) == 2
    assert capsys.readouterr().err == "optimize_cfg: out of memory\n"
