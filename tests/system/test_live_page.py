"""The live page in a real browser: the picture moves, boxes are listed, the controls work."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, programs
from video import Demo, make_video

pytestmark = pytest.mark.skipif(programs() is None, reason="chromium and chromium-driver are not installed")

# A number that changes with the picture shown, 0 while there is none
PICTURE = """
const img = document.getElementById('picture');
if (!frame) return 0;
const canvas = document.createElement('canvas');
canvas.width = 64; canvas.height = 48;
const draw = canvas.getContext('2d');
draw.drawImage(img, 0, 0, 64, 48);
const data = draw.getImageData(0, 0, 64, 48).data;
return data.reduce((sum, value, at) => (sum * 31 + value + at) % 2147483647, 1);
"""


def latest(url: str) -> dict:
    with urllib.request.urlopen(url + "detections.json", timeout=10) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    film = make_video(folder / "film.avi", 3000)
    words = ("--video", film, "--realtime", "--http", 0, "--mem", "128M", "--thresh", 0.1)
    with Demo(*words, cwd=folder) as running:
        running.url()
        yield running


@pytest.fixture(scope="module")
def page(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.open(demo.url())
        yield browser


def test_the_picture_changes(page: Browser) -> None:
    seen = {page.wait(PICTURE)}
    for _ in range(3):
        seen.add(page.wait(f"const now = (() => {{{PICTURE}}})(); return !arguments[0].includes(now) && now;",
                           list(seen)))
    assert len(seen) == 4


def test_boxes_are_listed(page: Browser, demo: Demo) -> None:
    page.wait("return document.querySelector('#state').className === 'live'")
    row = page.wait("const row = document.querySelector('#objects li:not(.none)');"
                    "return row && [row.querySelector('span').textContent,"
                    "row.querySelector('em').textContent, row.querySelector('i').style.background]")
    assert row[0] == "person" and row[1].endswith("%") and row[2].startswith("rgb")
    told = latest(demo.url())
    assert told["objects"] and told["objects"][0]["name"] == "person" and told["frame_id"] > 0
    assert told["memory"]["now"] <= told["memory"]["peak"] <= told["memory"]["budget"] == 128 << 20


def test_figures_and_charts(page: Browser) -> None:
    assert float(page.text("#fps")) > 0 and page.text("#ms").endswith(" ms")
    assert page.text("#now").endswith("M") and page.text("#of") == "peak of 128.0M"
    page.wait("return points.length > 2")
    for name in ("latency", "memory"):
        inked = page.run("const c = document.getElementById(arguments[0]);"
                         "const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
                         "return data.some(value => value > 0)",
                         name)
        assert inked, name


def test_nothing_comes_from_outside(page: Browser, demo: Demo) -> None:
    loaded = page.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded and all(name.startswith((demo.url(), "data:")) for name in loaded)


def test_picture_list_and_numbers_are_of_one_frame(page: Browser) -> None:
    """Whatever is on display was handed over together; counts and rows say the same."""
    for _ in range(5):
        seen = page.run("""
            const rows = [...document.querySelectorAll('#objects li:not(.none)')];
            const chips = [...document.querySelectorAll('#counts b')].map(one => Number(one.textContent));
            return [rows.map(row => row.querySelector('span').textContent), chips,
                    frame.objects.map(found => found.name), document.querySelector('#ms').textContent,
                    Math.round(frame.latency_ms) + ' ms', document.querySelector('#count').textContent];""")
        rows, chips, names, shown, told, count = seen
        assert rows == names and sum(chips) == len(names) == int(count) and shown == told


def test_light_and_dark_are_chosen_and_kept(page: Browser) -> None:
    look = "return document.documentElement.dataset.theme"
    before = page.run(look)
    page.click("#theme")
    assert page.run(look) == {"light": "dark", "dark": "light"}[before]
    ink = page.run("return getComputedStyle(document.body).backgroundColor")
    page.reload()
    page.wait("return latest")
    assert page.run(look) != before
    assert page.run("return getComputedStyle(document.body).backgroundColor") == ink


def test_a_snapshot_is_the_picture_shown(page: Browser) -> None:
    page.run("window.link = null; HTMLAnchorElement.prototype.click = function () { window.link = this; };")
    page.wait("return !document.getElementById('snapshot').disabled")
    page.click("#snapshot")
    name = page.run("return window.link.download")
    assert name.startswith("darkfuse-") and name.endswith(".jpg") and int(name[9:-4]) > 0
    page.run("fetch(window.link.href).catch(() => 0); jpeg.arrayBuffer().then("
             "bytes => { window.began = [...new Uint8Array(bytes.slice(0, 2))]; })")
    assert page.wait("return window.began") == [0xFF, 0xD8]


def test_charts_fill_from_the_left(page: Browser) -> None:
    page.wait("return points.length > 3")
    first, last = page.run("""
        charts();
        const canvas = document.getElementById('memory'), draw = canvas.getContext('2d');
        const ink = draw.getImageData(0, 0, canvas.width, canvas.height).data;
        const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue('--accent')
            .match(/[0-9a-f]{2}/gi).map(part => parseInt(part, 16));
        const columns = [];
        for (let x = 0; x < canvas.width; x++)
            for (let y = 0; y < canvas.height; y++) {
                const at = (y * canvas.width + x) * 4;
                if (ink[at + 3] > 200 && Math.abs(ink[at] - r) + Math.abs(ink[at + 1] - g)
                    + Math.abs(ink[at + 2] - b) < 12) { columns.push(x); break; }
            }
        return [Math.min(...columns) / canvas.width, Math.max(...columns) / canvas.width];""")
    assert first < 0.2 and first < last <= 1


def test_a_film_that_ends_is_finished(tmp_path: Path) -> None:
    film = make_video(tmp_path / "short.avi", 150)
    words = ("--video", film, "--realtime", "--http", 0, "--mem", "128M", "--thresh", 0.1)
    # The browser takes seconds to start, and has to be there before the film is over
    with Browser(tmp_path / "browser") as browser, Demo(*words, cwd=tmp_path) as demo:
        browser.open(demo.url())
        browser.wait("return document.getElementById('state').textContent === 'finished'")
        assert demo.finish() == 0
        browser.wait("return events.readyState !== 1")  # it is gone, and the page says so in no other way
        assert browser.text("#state") == "finished"
        assert browser.run("return document.getElementById('pause').disabled")


def test_the_slider_sets_the_threshold(page: Browser, demo: Demo) -> None:
    before = float(page.run("return document.getElementById('thresh').value"))
    page.keys("#thresh", "\ue00e" * 3)  # page up
    page.wait("return Number(document.getElementById('thresh').value) > arguments[0]", before)
    page.keys("#thresh", "\ue010")  # End: the highest
    page.wait("return document.getElementById('shown').textContent === '95%'")
    page.wait("return latest.thresh === 0.95 && latest.objects.every(found => found.confidence >= 0.95)")
    assert latest(demo.url())["thresh"] == 0.95
    page.keys("#thresh", "\ue011")  # Home: the lowest
    page.wait("return latest.thresh === 0.05 && latest.objects.some(found => found.confidence < 0.5)")
    page.run("send({thresh: 0.2})")
    page.wait("return latest.thresh === 0.2")


def test_pause_holds_the_picture_and_resume_lets_it_go(page: Browser, demo: Demo) -> None:
    page.click("#pause")
    page.wait("return document.getElementById('state').textContent === 'paused'")
    page.run("window.setTimeout(() => { window.since = 1 }, 600)")
    page.wait("return window.since")  # a frame that was on its way has come
    held, number = page.run(PICTURE), latest(demo.url())["frame_id"]
    page.run("window.setTimeout(() => { window.since = 2 }, 1000)")
    page.wait("return window.since === 2")
    assert page.run(PICTURE) == held and latest(demo.url())["frame_id"] == number
    assert page.text("#pause") == "Resume"
    page.click("#pause")
    page.wait("return document.getElementById('state').textContent === 'live'")
    page.wait(f"return (() => {{{PICTURE}}})() !== arguments[0]", held)


def test_a_reload_finds_picture_controls_and_charts_again(page: Browser) -> None:
    before = page.run("return points.length")
    page.run("send({paused: true})")
    page.wait("return document.getElementById('state').textContent === 'paused'")
    page.reload()
    assert page.wait(PICTURE)  # a held picture too
    page.wait("return document.getElementById('state').textContent === 'paused'")
    page.wait("return points.length >= arguments[0]", before - 1)
    page.run("send({paused: false})")
    old = page.run(PICTURE)
    page.wait(f"return (() => {{{PICTURE}}})() !== arguments[0]", old)


def test_a_narrow_screen_needs_no_sideways_scrolling(page: Browser) -> None:
    page.resize(390, 844)
    try:
        wide = page.run("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1]
    finally:
        page.resize(1280, 860)


def test_ctrl_c_ends_it_with_a_summary(page: Browser, demo: Demo, tmp_path: Path) -> None:
    """Last of all: the page notices."""
    assert demo.end() == 0
    assert "frames/s" in demo.printed[0] and demo.printed[-1].startswith("peak memory")
    page.wait("return document.getElementById('state').textContent === 'no connection'")
