"""Set-ups in deploy/: what they start is what the command takes, and they ask for no privileges."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from darkfuse.cli.main import build_parser

COMPOSE = ("obico", "frigate", "home-assistant")


def parsed(words: list[str]) -> dict[str, object]:
    return vars(build_parser(["serve"])[0].parse_args(["serve", *words]))


def test_the_unit_starts_what_the_command_takes(root: Path) -> None:
    text = (root / "deploy" / "darkfuse.service").read_text()
    line = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert line is not None
    program, verb, *words = shlex.split(line[1].replace("\\\n", " "))
    assert program.endswith("/darkfuse") and verb == "serve"
    assert parsed(words)["mem"] == "48M"
    for wanted in ("Type=notify", "WatchdogSec=", "DynamicUser=yes", "MemoryMax=", "NoNewPrivileges=yes"):
        assert wanted in text


def test_systemd_reads_the_unit(root: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    text = (root / "deploy" / "darkfuse.service").read_text()
    unit = tmp_path / "darkfuse.service"  # with a program that is there
    unit.write_text(text.replace("/opt/darkfuse/bin/darkfuse", "/bin/true"))
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True)
    assert "darkfuse.service" not in done.stderr, done.stderr


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files(root: Path, name: str) -> None:
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((root / "deploy" / f"compose.{name}.yaml").read_text())["services"]
    ours = [one for one in services.values() if one["image"] == "darkfuse"]
    assert len(ours) == 1
    words = ours[0]["command"]
    assert parsed([str(word) for word in words])["mem"]
    assert ours[0]["read_only"] and ours[0]["cap_drop"] == ["ALL"]
    assert ours[0]["mem_limit"] == ours[0]["memswap_limit"]
    assert any(volume.endswith(":/var/tmp") for volume in ours[0]["volumes"])


def test_lint_of_what_builds_the_image(root: Path) -> None:
    hadolint = program("hadolint")
    done = subprocess.run([hadolint, str(root / "deploy" / "Containerfile")], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_follow_the_specification(root: Path, name: str) -> None:
    check = program("check-jsonschema")
    file = root / "deploy" / f"compose.{name}.yaml"
    done = subprocess.run([check, "--builtin-schema", "vendor.compose-spec", str(file)], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def program(name: str) -> str:
    """Where a program is, beside this Python or on PATH."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed (it comes with darkfuse[dev])")
    return found


def test_the_container_is_not_root(root: Path) -> None:
    text = (root / "deploy" / "Containerfile").read_text()
    last = text[text.rindex("\nFROM "):]
    assert re.search(r"^USER 10001", last, re.MULTILINE)
    entry = re.search(r"^ENTRYPOINT (.*)$", last, re.MULTILINE)
    assert entry is not None
    assert parsed(re.findall(r'"([^"]+)"', entry[1])[2:])["http"] == ("0.0.0.0", 8080)
