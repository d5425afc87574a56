#!/usr/bin/env python3
"""deploy/Containerfile built and run where no registry of images is reached: podman, Debian from its archive.

    run_container.py [--arch arm64] [--folder FOLDER] [--limit 64m] [--mem 48M]

debootstrap makes what stands in for debian:bookworm-slim. The image is run as deploy/ says: not root, without
capabilities, its root read-only, memory limited; it is asked for the cat in a photo and for its health, and
stopped. Needs root, debootstrap, podman and runc (apt-get install debootstrap podman runc); for another
processor qemu-user-static, registered with the kernel. What was built stays in FOLDER, where one is named,
for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError
from tools.check_serve import free_port

ROOT = Path(__file__).resolve().parent.parent
BASE, SUITE = "docker.io/library/debian:bookworm-slim", "bookworm"
IMAGE = "localhost/darkfuse"
# What podman would ask for otherwise is refused in some sandboxes: more descriptors than this process may
# have, and a timer of systemd's for health checks
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--no-healthcheck")
MIRROR = "http://deb.debian.org/debian"
PROGRAMS = ("debootstrap", "podman", "runc")


def main() -> int:
    """Build and run it; status 1 when something was not as it has to be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arch", help="of the image: amd64, arm64, armhf (default: this machine's)")
    parser.add_argument("--folder", type=Path, help="where images are kept (default: a temporary one)")
    parser.add_argument("--limit", default="64m", help="of the container's memory, swap included")
    parser.add_argument("--mem", default="48M")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    lack = missing()
    if lack:
        raise DarkfuseError(lack)
    with tempfile.TemporaryDirectory(prefix="darkfuse-container-") as folder:
        podman = Podman(args.folder or Path(folder))
        try:
            if not podman.has(BASE):
                make_base(podman, args.arch)
            began = time.monotonic()
            podman("build", "--format", "docker", "--isolation", "chroot", "--pull=never", "-q",
                   "-f", str(ROOT / "deploy" / "Containerfile"), "-t", IMAGE, str(ROOT))
            report = {"arch": args.arch, "build_s": round(time.monotonic() - began), **run(podman, args)}
        finally:
            podman("rm", "--all", "--force")
            podman("volume", "prune", "--force")
    print(json.dumps(report, indent=1))
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")
    return 0 if not report["wrong"] else 1


def missing() -> str:
    """What keeps this machine from it, in a line; nothing where it can."""
    if os.geteuid():
        return "run it as root: debootstrap and a memory limit ask for that"
    lack = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(lack)} (apt-get install them)" if lack else ""


class Podman:
    """podman with storage of its own; a call gives what it printed. Raises `DarkfuseError`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.command = ["podman", "--root", str(folder / "store"), "--runroot", str(folder / "run"),
                        "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        self.environment = {**os.environ, "STORAGE_DRIVER": "vfs"}  # works within a container too

    def __call__(self, *words: str) -> str:
        done = subprocess.run([*self.command, *words], capture_output=True, text=True, env=self.environment)
        if done.returncode:
            raise DarkfuseError(f"podman {words[0]}: status {done.returncode}\n{done.stdout[-2000:]}"
                                f"{done.stderr[-2000:]}")
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        """Whether an image is there."""
        words = [*self.command, "image", "exists", image]
        return subprocess.run(words, env=self.environment).returncode == 0


def make_base(podman: Podman, arch: str | None) -> None:
    """Debian's smallest system as the image that deploy/Containerfile starts from."""
    tree, packed = podman.folder / "base", podman.folder / "base.tar"
    words = [f"--arch={arch}"] if arch else []
    subprocess.run(["debootstrap", "--variant=minbase", *words, SUITE, str(tree), MIRROR], check=True,
                   stdout=subprocess.DEVNULL)
    authority = os.environ.get("PIP_CERT")  # of this machine's network, where pip in the image asks too
    if authority:
        (tree / "etc" / "ssl").mkdir(exist_ok=True)
        shutil.copy(authority, tree / "etc" / "ssl" / "build-machine.crt")
        (tree / "etc" / "pip.conf").write_text("[global]\ncert = /etc/ssl/build-machine.crt\n")
    subprocess.run(["tar", "-C", str(tree), "-cf", str(packed), "."], check=True)
    podman("import", *(["--arch", arch.replace("armhf", "arm")] if arch else []), str(packed), BASE)
    shutil.rmtree(tree)
    packed.unlink()


def run(podman: Podman, args: argparse.Namespace) -> dict[str, Any]:
    """Run the image as deploy/ does, ask it, and stop it; what was seen, and what of it was wrong."""
    port = free_port()
    name = podman("run", "--detach", "--network", "host", "--read-only", "--tmpfs", "/cache:size=4m",
                  "--mount", "type=volume,dst=/var/tmp", "--memory", args.limit, "--memory-swap", args.limit,
                  "--cap-drop", "all", "--security-opt", "no-new-privileges", *LIMITS,
                  IMAGE, "--mem", args.mem, "--http", f"127.0.0.1:{port}")
    base, began = f"http://127.0.0.1:{port}", time.monotonic()
    until_ready(base, podman, name)
    ready_s = time.monotonic() - began
    photo = (ROOT / "docs" / "images" / "cat.jpg").read_bytes()
    names = []
    for _ in range(20):
        request = urllib.request.Request(f"{base}/detect", photo, {"Content-Type": "image/jpeg"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            names.append([one["name"] for one in json.loads(answer.read())["objects"]])
    shell = ["exec", name, "/bin/sh", "-c"]
    seen = {
        "found": names[0], "ready_s": round(ready_s, 1),
        "user": podman(*shell, "id -u"),
        "capabilities": podman(*shell, "sed -n 's/CapEff:[[:space:]]*//p' /proc/1/status"),
        "root": podman(*shell, "touch /x 2>/dev/null && echo written || echo read-only"),
        "spool": podman(*shell, "f=/var/tmp/x && touch $f && rm $f && echo written || echo read-only"),
        "oom_kills": podman(*shell, "cat /sys/fs/cgroup/memory/memory.oom_control "
                            "/sys/fs/cgroup/memory.events 2>/dev/null | sed -n 's/^oom_kill //p'"),
        "peak": podman(*shell, "cat /sys/fs/cgroup/memory/memory.max_usage_in_bytes "
                       "/sys/fs/cgroup/memory.peak 2>/dev/null; true"),
        "image_mb": round(int(podman("image", "inspect", "--format", "{{.Size}}", IMAGE)) / 1e6),
        "health": health(podman, name, port),
    }
    podman("stop", "--time", "30", name)
    seen["status"] = podman("inspect", "--format", "{{.State.ExitCode}}", name)
    wanted = {"user": "10001", "capabilities": "0" * 16, "root": "read-only", "spool": "written",
              "oom_kills": "0", "health": "ok", "status": "0"}
    wrong = [key for key, value in wanted.items() if seen[key] != value]
    if "cat" not in names[0] or any(one != names[0] for one in names):
        wrong.append("found")
    return {**seen, "wrong": wrong}


def health(podman: Podman, name: str, port: int) -> str:
    """Whether the image's own health check is content, asked at the port that this run has."""
    test = json.loads(podman("image", "inspect", "--format", "{{json .HealthCheck.Test}}", IMAGE))
    assert test[0] == "CMD"
    podman("exec", name, *[word.replace("/8080", f"/{port}") for word in test[1:]])
    return "ok"


def until_ready(base: str, podman: Podman, name: str) -> None:
    """Return when pictures are taken. Raises `DarkfuseError` when the container ends."""
    while podman("inspect", "--format", "{{.State.Running}}", name) == "true":
        try:
            with urllib.request.urlopen(f"{base}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise DarkfuseError(f"the container has ended: {podman('logs', name)[-2000:]}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DarkfuseError as error:
        sys.exit(f"run_container: {error}")
