#!/usr/bin/env python3
"""What a release must be: its files checked, one installed as a stranger would, its notes and sums written.

    tools/check_release.py dist [--notes dist/notes.md]

Checks every file with twine, makes a package index of them, installs darkfuse from it into a new environment
with no compiler on PATH, and finds the cat. Prints seconds, MB on disk, and seconds to the first box. Writes
SHA256SUMS beside the files, and notes of this version from CHANGELOG.md. Status 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHEEL_MB, DISK_MB, INSTALL_S, BOX_S = 9.5, 60.0, 10.0, 1.0


def sums(folder: Path) -> str:
    """Lines as sha256sum writes them, of all wheels and sdists."""
    files = sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def notes(changelog: str, version: str) -> str:
    """The section of CHANGELOG.md about a version; "Unreleased" where it has none yet."""
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    for title in (version, "Unreleased"):
        for section in sections:
            if section.split()[0] == title:
                return section.split("\n", 1)[1].strip() + "\n"
    raise SystemExit(f"CHANGELOG.md has no section for {version}")


def make_index(folder: Path, index: Path) -> str:
    """A package index (PEP 503) of the files of a folder; its address."""
    package = index / "darkfuse"
    package.mkdir(parents=True)
    links = []
    for path in sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")]):
        shutil.copy(path, package)
        links.append(f'<a href="{path.name}">{path.name}</a>')
    (package / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(links) + "\n")
    return index.as_uri()


def disk_bytes(folder: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if not path.is_symlink())


def parts(venv: Path, before: set[str]) -> dict[str, float]:
    """MB of each package that came, with what belongs to it in other folders (`pillow.libs`)."""
    found: dict[str, float] = {}
    for path in (site for site in venv.glob("lib/*/site-packages/*") if site.name not in before):
        name = re.split(r"[-.]", path.name.lower())[0]
        name = {"pil": "pillow"}.get(name, name)
        size = disk_bytes(path) if path.is_dir() else path.stat().st_size
        found[name] = found.get(name, 0.0) + size / 1e6
    return found


def sizes_of(found: dict[str, float]) -> str:
    """Packages and their MB, the largest first."""
    return ", ".join(f"{name} {mb:.1f}" for name, mb in sorted(found.items(), key=lambda item: -item[1]))


def install(folder: Path, work: Path) -> dict:
    """Install from an index into a new environment and detect; what it took."""
    index, venv = make_index(folder, work / "index"), work / "venv"
    tools = work / "bin"  # a PATH without a compiler
    tools.mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("CC", "PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = str(tools)
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    empty, empty_mb = time.monotonic(), disk_bytes(venv) / 1e6
    before = {path.name for path in venv.glob("lib/*/site-packages/*")}
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "--only-binary=:all:", "--extra-index-url", index, "darkfuse"], check=True,
                   env=environment)
    installed = time.monotonic()
    photo = ROOT / "docs" / "images" / "cat.jpg"
    found = subprocess.run([str(venv / "bin" / "darkfuse"), "detect", str(photo), "--no-draw", "--json", "-"],
                           check=True, env=environment, capture_output=True, text=True, cwd=work)
    boxed = time.monotonic()
    names = [box["name"] for picture in json.loads(found.stdout) for box in picture["objects"]]
    return {"environment_s": empty - start, "install_s": installed - empty, "first_box_s": boxed - installed,
            "disk_mb": disk_bytes(venv) / 1e6, "empty_mb": empty_mb, "found": names,
            "parts": parts(venv, before)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--notes", type=Path, help="default: notes.md in the folder")
    args = parser.parse_args()
    wheels = sorted(args.folder.glob("*.whl"))
    if not wheels:
        parser.error(f"{args.folder}: no wheels")
    version = wheels[0].name.split("-")[1]
    files = [str(path) for path in [*wheels, *args.folder.glob("*.tar.gz")]]
    status = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files]).returncode
    for wheel in wheels:
        size = wheel.stat().st_size / 1e6
        print(f"{wheel.name}: {size:.2f} MB (at most {WHEEL_MB})")
        status |= size > WHEEL_MB
    with tempfile.TemporaryDirectory() as work:
        took = install(args.folder, Path(work))
    print(f"pip install: {took['install_s']:.1f} s (at most {INSTALL_S:.0f}) into an environment made in "
          f"{took['environment_s']:.1f} s\non disk: {took['disk_mb']:.1f} MB (at most {DISK_MB:.0f}), "
          f"{took['empty_mb']:.1f} of them pip and what else Python puts there: "
          f"{took['disk_mb'] - took['empty_mb']:.1f} MB beside those ({sizes_of(took['parts'])})\n"
          f"first box: {took['first_box_s']:.2f} s (at most {BOX_S:.0f}); "
          f"found {', '.join(took['found']) or 'nothing'}")
    status |= (took["install_s"] > INSTALL_S or took["disk_mb"] > DISK_MB or took["first_box_s"] > BOX_S
               or "cat" not in took["found"])
    (args.folder / "SHA256SUMS").write_text(sums(args.folder))
    (args.notes or args.folder / "notes.md").write_text(notes((ROOT / "CHANGELOG.md").read_text(), version))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
