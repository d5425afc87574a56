"""Each room of the package imports only what it may, and the lean path loads nothing heavy."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CONTRACTS = {"plan.types", "plan.program"}
# What each room, or wing of a room, may import of ours besides itself, `host` and `errors`. Arrows only go
# down: lower rooms are open to those above, so that a plan's graph may hold a parsed cfg.
ROOMS: dict[str, set[str]] = {
    "host": set(),
    "model": set(),
    "graph": {"model"},
    "kernels": set(),
    "plan": {"graph", "model", "plan.layout"},
    "plan.layout": {"graph", "model"} | CONTRACTS,
    "plan.price": {"graph", "model", "plan.layout"} | CONTRACTS,
    "plan.search": {"graph", "model", "plan.layout", "plan.price"} | CONTRACTS,
    "plan.show": {"graph", "model", "plan.layout", "plan.price", "plan.search"} | CONTRACTS,
    "engine": {"plan.program", "kernels"},
    "detect": {"graph", "model"},
    "media": {"detect.types"},
    "session": {"engine", "kernels", "plan", "graph", "model", "detect", "media"},
    "live": {"session", "engine", "graph", "model", "detect", "media"},
    "compat": {"session", "detect", "media", "graph", "model"},
    "cli": {"*"},
    # Public names of what stands in compat, a few lines each
    "cv2": {"compat"},
    "dnn": {"compat"},
    "darknet": {"compat"},
    # The package itself: what everybody may use, and the two doors.
    "errors": set(),
    "__init__": {"session.network", "detect.types", "compat.restore"},
    "__main__": {"cli.main"},
}
# What every room may use.
COMMON = {"host", "errors"}
HEAVY = {"numpy", "cv2", "PIL", "psutil"}
# Written in numpy, to check kernels against; no other module may import it at its top.
REFERENCE = "kernels.reference"
# A line of Cython that imports: `from darkfuse.plan.types import ...`, `from darkfuse.kernels cimport x`
CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w., ]+))", re.MULTILINE)


def module_name(path: Path, root: Path) -> str:
    """'graph.layers.yolo' for darkfuse/graph/layers/yolo.py; a package is called by its folder."""
    parts = path.relative_to(root / "darkfuse").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, module: str, top_level_only: bool = False) -> Iterator[str]:
    """Every module a Python or Cython file imports; `from a.b import c` counts as a.b.c."""
    text = path.read_text()
    if path.suffix != ".py":
        for match in CYTHON_IMPORT.finditer(text):
            for name in (match[1] or match[2]).split(","):
                yield name.strip().split(" ")[0]
        return
    package = ["darkfuse", *module.split(".")] if module else ["darkfuse"]
    if path.name != "__init__.py":
        package = package[:-1]
    waiting: list[ast.AST] = list(ast.parse(text).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            yield from (f"{base}{node.module or ''}.{alias.name}".replace("..", ".") for alias in node.names)
        if top_level_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if top_level_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        waiting.extend(ast.iter_child_nodes(node))


def sources(root: Path) -> list[Path]:
    files = [p for p in (root / "darkfuse").rglob("*") if p.suffix in (".py", ".pyx", ".pxd", ".pyi")]
    assert len(files) > 20
    return sorted(files)


def room_of(module: str) -> str:
    """The room, or the wing of one, that a module stands in: 'plan.layout' for 'plan.layout.arena'.

    Raises `KeyError` for a module outside every room.
    """
    parts = module.split(".") if module else ["__init__"]
    for room in (".".join(parts[:2]), parts[0]):
        if room in ROOMS:
            return room
    raise KeyError(f"darkfuse.{module} stands in no room")


def forbidden(path: Path, root: Path) -> list[str]:
    """Imports of ours that break the rule for the room of `path`."""
    module = module_name(path, root)
    room = room_of(module)
    allowed = ROOMS[room] | {room} | COMMON
    wrong = []
    for name in imports(path, module):
        if not name.startswith("darkfuse.") or "*" in allowed:
            continue
        target = name[len("darkfuse."):]
        if not any(target == a or target.startswith(a + ".") for a in allowed):
            wrong.append(f"{path.relative_to(root)}: {name}")
    return wrong


def test_rooms_import_only_what_they_may(root: Path) -> None:
    found = [line for path in sources(root) for line in forbidden(path, root)]
    assert not found, "\n".join(found)


def test_public_aliases_hold_nothing_of_their_own(root: Path) -> None:
    for name in ("cv2", "dnn", "darknet"):
        assert len((root / "darkfuse" / f"{name}.py").read_text().splitlines()) <= 12


def test_every_module_stands_in_a_room(root: Path) -> None:
    assert {room_of(module_name(path, root)) for path in sources(root)} == set(ROOMS)


@pytest.mark.parametrize(("file", "line", "caught"), [
    ("darkfuse/model/cfg.py", "from darkfuse.graph.ir import Node", True),
    ("darkfuse/model/cfg.py", "from darkfuse import graph", True),
    ("darkfuse/model/cfg.py", "from ..graph import ir", True),
    ("darkfuse/model/cfg.py", "def f():\n    import darkfuse.plan.types", True),
    ("darkfuse/model/cfg.py", "from darkfuse.errors import CfgError", False),
    ("darkfuse/media/draw.py", "from darkfuse.detect.types import Box", False),
    ("darkfuse/media/draw.py", "from darkfuse.detect import types", False),
    ("darkfuse/media/draw.py", "from darkfuse.detect.nms import nms_sort", True),
    ("darkfuse/kernels/_kernels.pyx", "from darkfuse.plan.types import Plan", True),
    ("darkfuse/kernels/_kernels.pyx", "from darkfuse.kernels cimport df", False),
    ("darkfuse/engine/run.pyx", "from darkfuse.detect.types cimport Box", True),
    ("darkfuse/errors.py", "from darkfuse.model.cfg import Cfg", True),
    ("darkfuse/cli/info.py", "from darkfuse.graph import load_graph", False),
    ("darkfuse/plan/layout/arena.py", "from darkfuse.plan.price.cost import Sizes", True),
    ("darkfuse/plan/price/cost.py", "from darkfuse.plan.layout.arena import aligned", False),
    ("darkfuse/plan/price/cost.py", "from darkfuse.plan.search.cuts import Cuts", True),
    ("darkfuse/engine/check.py", "from darkfuse.plan.layout.arena import ALIGN", True),
    ("darkfuse/host/process.py", "from darkfuse.model.cfg import Cfg", True),
    ("darkfuse/session/network.py", "from darkfuse.live.camera import run", True),
])
def test_the_rule_sees_what_breaks_it(tmp_path: Path, file: str, line: str, caught: bool) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert bool(forbidden(path, tmp_path)) == caught


def test_nothing_heavy_is_imported_at_the_top_of_a_module(root: Path) -> None:
    """numpy costs 15 MB, OpenCV 32: they are imported where they are used."""
    found = []
    for path in sources(root):
        module = module_name(path, root)
        if path.suffix == ".py":
            for name in imports(path, module, top_level_only=True):
                heavy = name.split(".")[0] in HEAVY and module != REFERENCE
                if heavy or name.startswith("darkfuse." + REFERENCE):
                    found.append(f"{path.relative_to(root)}: {name}")
    assert not found, "\n".join(found)


def loaded_by(statements: str, root: Path) -> set[str]:
    """Names of heavy modules in a fresh interpreter after `statements`."""
    code = f"{statements}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])} & HEAVY


def test_the_check_of_loaded_modules_sees_numpy(root: Path) -> None:
    assert "numpy" in loaded_by("import numpy", root)


@pytest.mark.parametrize("statements", [
    "import darkfuse",
    "import darkfuse.cli.main",
    "import darkfuse.session.network, darkfuse.kernels, darkfuse.engine, darkfuse.media",
    "import darkfuse.graph, darkfuse.graph.weights, darkfuse.graph.table, darkfuse.model.names",
    "import darkfuse.detect.decode, darkfuse.detect.report, darkfuse.detect.activated",
    "from darkfuse.cli.main import main\nmain(['info', 'cfg/yolov2.cfg'])",
    "from darkfuse.cli.main import build_parser, VERBS\nbuild_parser(VERBS)",
])
def test_the_lean_path_loads_nothing_heavy(root: Path, statements: str) -> None:
    assert loaded_by(statements, root) == set()


# Of Python's own modules those that take most, and come in only through what others import in passing.
PASSING = {"inspect", "ast", "shutil", "lzma", "locale", "subprocess", "tempfile", "threading", "logging"}


def loaded_in_passing(statements: str, root: Path) -> set[str]:
    code = f"""{statements}
import sys
names = {sorted(PASSING)!r}
print(*(name for name in names if getattr(sys.modules.get(name), "__spec__", None)))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="dataclasses asks inspect there")
def test_the_command_does_without_what_others_import_in_passing(root: Path) -> None:
    detect = """from darkfuse.cli.main import build_parser
build_parser(["detect"])[0].parse_args(["detect", "x.cfg", "y.jpg"])
import darkfuse.session.network, darkfuse.detect.report, darkfuse.engine._engine
import darkfuse.plan.layout.lower"""
    assert loaded_in_passing(detect, root) == set()
    inspecting = detect + "\nimport inspect\ninspect.signature(darkfuse.session.network.load)"
    assert loaded_in_passing(inspecting, root) >= {"inspect", "ast"}
