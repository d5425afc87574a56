"""Downloads from a real HTTPS server here: whole, resumed, broken off, of wrong size or checksum."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from darkfuse.errors import DownloadError
from darkfuse.graph import load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.model import fetch as fetching
from darkfuse.model.fetch import fetch
from darkfuse.model.zoo import OFFICIAL, Official

ROOT = Path(__file__).parents[2]
FLOATS = 200_000
BODY = struct.pack("<iiiq", 0, 2, 0, 64) + os.urandom(4 * FLOATS)
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()


class Site:
    """What the server sends, and what it was asked for."""

    def __init__(self) -> None:
        self.body = BODY
        self.ranges = True
        self.breaks_after: int | None = None
        self.status: int | None = None
        self.leads_to: str | None = None
        self.asked: list[str | None] = []
        self.url = ""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine and its key, of an hour's life."""
    if shutil.which("openssl") is None:
        pytest.skip("the command openssl is not there: no server with a certificate of its own")
    folder = tmp_path_factory.mktemp("certificate")
    key, made = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", key,
                    "-out", made, "-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    return made, key


@pytest.fixture
def trusted(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The certificate, which this process and those it starts trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    monkeypatch.setenv("no_proxy", "*")
    return certificate


@pytest.fixture
def site(trusted: tuple[Path, Path]) -> Iterator[Site]:
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.leads_to:
                self.send_response(302)
                self.send_header("Location", state.leads_to)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if state.status:
                self.send_error(state.status)
                return
            start = int(wanted[len("bytes=") : -1]) if wanted and state.ranges else 0
            if start >= len(state.body):
                self.send_error(416)
                return
            body = state.body[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.body) - 1}/{len(state.body)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.breaks_after is not None:
                body = body[: state.breaks_after]
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*trusted)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    state.url = f"https://127.0.0.1:{server.server_port}/model.weights"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def entry(digest: str | None = SHA, header: int | None = 20, floats: int = FLOATS) -> Official:
    return Official("model", floats, header, digest, "noise")


def test_whole(site, tmp_path):
    seen: list[tuple[int, int | None]] = []
    path = fetch(entry(), str(tmp_path / "new"), lambda done, total: seen.append((done, total)), [site.url])
    assert path == str(tmp_path / "new" / "model.weights")
    assert Path(path).read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY)) and len(seen) > 2
    assert os.listdir(tmp_path / "new") == ["model.weights"]


def test_already_there_asks_nobody(site, tmp_path):
    (tmp_path / "model.weights").write_bytes(BODY)
    fetch(entry(), str(tmp_path), addresses=[site.url])
    assert site.asked == []


def test_something_else_already_there_is_left_alone(site, tmp_path):
    (tmp_path / "model.weights").write_bytes(BODY[:-4])
    with pytest.raises(DownloadError, match=f"{len(BODY) - 4} bytes, but the official .* delete it"):
        fetch(entry(), str(tmp_path), addresses=[site.url])
    assert (tmp_path / "model.weights").read_bytes() == BODY[:-4]
    assert site.asked == []


def test_broken_connection_then_resumed(site, tmp_path):
    site.breaks_after = 300_000
    with pytest.raises(
        DownloadError, match=rf"{site.url} .*300000 of {len(BODY)}.*run this again.*model.weights$"
    ):
        fetch(entry(), str(tmp_path), addresses=[site.url])
    assert os.listdir(tmp_path) == ["model.weights.part"]
    site.breaks_after = None
    seen: list[int] = []
    fetch(entry(), str(tmp_path), lambda done, total: seen.append(done), [site.url])
    assert site.asked == [None, "bytes=300000-"]
    assert min(seen) > 300_000
    assert (tmp_path / "model.weights").read_bytes() == BODY
    assert os.listdir(tmp_path) == ["model.weights"]


def test_a_server_without_ranges_starts_afresh(site, tmp_path):
    (tmp_path / "model.weights.part").write_bytes(b"\0" * 1000)
    site.ranges = False
    fetch(entry(), str(tmp_path), addresses=[site.url])
    assert site.asked == ["bytes=1000-"]
    assert (tmp_path / "model.weights").read_bytes() == BODY


def test_wrong_size_is_refused_before_it_is_fetched(site, tmp_path):
    site.body = BODY[:-400]
    with pytest.raises(
        DownloadError, match=f"offers {len(BODY) - 400} bytes, but the official .* has {len(BODY)}"
    ):
        fetch(entry(), str(tmp_path), addresses=[site.url])
    assert os.listdir(tmp_path) == []


def test_wrong_checksum_is_deleted(site, tmp_path):
    site.body = BODY[:-1] + bytes([BODY[-1] ^ 1])
    with pytest.raises(DownloadError, match="its sha256 is [0-9a-f]{64}, the official"):
        fetch(entry(), str(tmp_path), addresses=[site.url])
    assert os.listdir(tmp_path) == []


def test_size_known_only_from_the_header(site, tmp_path):
    fetch(entry(digest=None, header=None), str(tmp_path / "a"), addresses=[site.url])
    with pytest.raises(
        DownloadError, match=f"{len(BODY)} bytes, but the official model.weights has {len(BODY) + 4}"
    ):
        fetch(entry(digest=None, header=None, floats=FLOATS + 1), str(tmp_path / "b"), addresses=[site.url])
    assert os.listdir(tmp_path / "b") == []


def test_a_web_page_is_no_weights_file(site, tmp_path):
    site.body = b"<!DOCTYPE html><html>Please log in</html>"
    with pytest.raises(DownloadError, match="not a Darknet weights file"):
        fetch(entry(digest=None, header=None), str(tmp_path), addresses=[site.url])
    assert os.listdir(tmp_path) == []


def test_whole_part_of_unknown_size_is_recognised(site, tmp_path):
    (tmp_path / "model.weights.part").write_bytes(BODY)
    fetch(entry(digest=None, header=None), str(tmp_path), addresses=[site.url])
    assert site.asked == [f"bytes={len(BODY)}-"]
    assert (tmp_path / "model.weights").read_bytes() == BODY


def test_the_second_address_helps_out(site, tmp_path):
    nobody = "https://127.0.0.1:9/model.weights"
    fetch(entry(), str(tmp_path), addresses=[nobody, site.url])
    assert (tmp_path / "model.weights").read_bytes() == BODY


def test_only_https_is_asked(site, tmp_path):
    for address in ("http://127.0.0.1:9/model.weights", "ftp://host/model.weights", f"file://{tmp_path}/x"):
        with pytest.raises(DownloadError, match="not an https address"):
            fetch(entry(), str(tmp_path / "new"), addresses=[site.url, address])
    assert site.asked == [] and not (tmp_path / "new").exists()


def test_a_redirect_to_another_https_address_is_followed(site, tmp_path):
    site.leads_to = site.url.replace("model", "moved")
    with pytest.raises(DownloadError, match="infinite loop|30[12]"):
        fetch(entry(), str(tmp_path), addresses=[site.url])
    assert len(site.asked) > 1


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_a_redirect_away_from_https_is_refused(site, tmp_path, scheme):
    site.leads_to = site.url.replace("https", scheme)
    with pytest.raises(DownloadError, match=f"it redirects to {scheme}://.*, which is not https"):
        fetch(entry(), str(tmp_path), addresses=[site.url])
    assert len(site.asked) == 1 and os.listdir(tmp_path) == []


def test_every_known_file_is_asked_for_over_https():
    for official in OFFICIAL.values():
        assert official.addresses and all(a.startswith("https://") for a in official.addresses)


def test_refusal_names_the_answer(site, tmp_path):
    site.status = 404
    with pytest.raises(DownloadError, match="answers 404 Not Found"):
        fetch(entry(), str(tmp_path), addresses=[site.url])


def test_silence_times_out(tmp_path):
    import socket

    with socket.socket() as quiet:
        quiet.bind(("127.0.0.1", 0))
        quiet.listen()
        url = f"https://127.0.0.1:{quiet.getsockname()[1]}/model.weights"
        with pytest.raises(DownloadError, match="timed out"):
            fetch(entry(), str(tmp_path), addresses=[url], timeout=0.2)


def test_unwritable_folder(site, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot write"):
        fetch(entry(), str(tmp_path / "file" / "weights"), addresses=[site.url])


@pytest.fixture
def download(command, tmp_path):
    """Runs `darkfuse download` in a folder of its own, whatever proxy there is."""
    env = {**os.environ, "no_proxy": "*"}
    return partial(command, "darkfuse", "download", cwd=tmp_path, env=env, timeout=60)


def test_command_offline(tmp_path, download):
    """One line with the address and the place, status 2, nothing half-written."""
    done = download("yolov3-tiny", "--from", "https://127.0.0.1:9/yolov3-tiny.weights")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "https://127.0.0.1:9/yolov3-tiny.weights" in done.stderr
    assert os.path.join("weights", "yolov3-tiny.weights") in done.stderr
    assert os.listdir(tmp_path / "weights") == []


def test_command_fetches_the_official_file(site, tmp_path, shared, download):
    """The real yolov3-tiny.weights through the real command: size and checksum are the published ones."""
    site.body = (shared / "models" / "yolov3-tiny.weights").read_bytes()
    done = download("yolov3-tiny", "--from", site.url)
    assert done.returncode == 0, done.stderr
    assert "35,434,956 bytes, sha256 checked" in done.stdout
    assert (tmp_path / "weights" / "yolov3-tiny.weights").stat().st_size == 35_434_956
    again = download("yolov3-tiny")
    assert again.returncode == 0 and "already there" in again.stdout


def test_a_file_without_a_known_checksum_is_warned_of(tmp_path, download):
    official = OFFICIAL["yolov7-tiny"]
    assert official.digest is None
    (tmp_path / "weights").mkdir()
    with open(tmp_path / "weights" / official.filename, "wb") as file:
        file.write(struct.pack("<iiiq", 0, 2, 5, 0))
        file.truncate(20 + 4 * official.floats)
    done = download("yolov7-tiny")
    assert done.returncode == 0 and "24,967,560 bytes, header and size checked" in done.stdout
    assert done.stderr.startswith("darkfuse: warning: ") and "no checksum of it is known" in done.stderr


def test_command_unknown_name(download):
    done = download("yolov9")
    assert done.returncode == 2
    assert "yolov9" in done.stderr and "yolov2-tiny" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("official", OFFICIAL.values(), ids=lambda e: e.name)
def test_sizes_follow_from_our_cfgs(official, tmp_path):
    """Every float of the network and nothing else: counted from the cfg of the same name."""
    graph = load_graph(str(ROOT / "cfg" / f"{official.name}.cfg"))
    fake = tmp_path / official.filename
    with open(fake, "wb") as file:
        file.write(
            struct.pack("<iiiq", 0, 2, 0, 0) if official.header != 16 else struct.pack("<iiii", 0, 1, 0, 0)
        )
        file.truncate(official.size or 20 + 4 * official.floats)
    index = weight_offsets(graph, str(fake))
    assert index.used == index.size
    if official.digest:
        kind, digest = official.digest.split(":")
        assert len(digest) == hashlib.new(kind, usedforsecurity=False).digest_size * 2


def test_chunks_are_smaller_than_what_is_tested():
    assert len(BODY) > fetching.CHUNK, "the tests of resuming need several chunks"
