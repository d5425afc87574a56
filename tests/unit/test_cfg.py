"""The .cfg parser: what it reads, and that whatever it refuses it refuses with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import examples

from darkfuse.errors import CfgError, DarkfuseError
from darkfuse.graph import build_graph, load_graph
from darkfuse.model.cfg import parse_cfg, read_cfg
from darkfuse.model.names import find_names, read_data, read_names

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
CONV = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"


def error_of(text: str) -> str:
    with pytest.raises(CfgError) as caught:
        build_graph(parse_cfg(text, "x.cfg"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_spaces_comments_and_line_numbers() -> None:
    cfg = parse_cfg("# head\n\n[ net ]\n width = 32 # wide\nheight=32;tall\n;no=1\nchannels =\t3\r\n"
                    "[maxpool]\n")
    assert cfg.net.kind == "net" and cfg.net.line == 3
    assert [(e.key, e.value, e.line) for e in cfg.net.entries] == [
        ("width", "32", 4), ("height", "32", 5), ("channels", "3", 7)]
    assert [(s.kind, s.line) for s in cfg.layers] == [("maxpool", 8)]


@pytest.mark.parametrize("text", [NET + CONV, NET + CONV.rstrip("\n"), (NET + CONV).replace("\n", "\r\n"),
                                  "\n\n" + NET + "\x0c\u2028# form feed\n" + CONV + "\n\n"])
def test_raw_lines_give_the_text_back(text: str) -> None:
    cfg = parse_cfg(text)
    assert "".join(cfg.lines) == text
    for section in (cfg.net, *cfg.layers):
        assert section.kind in cfg.lines[section.line - 1]
        for entry in section.entries:
            assert entry.key in cfg.lines[entry.line - 1]


def test_bytes_that_are_not_utf8_survive_in_comments(tmp_path: Path) -> None:
    path = tmp_path / "latin.cfg"
    path.write_bytes(b"# caf\xe9\n" + NET.encode() + CONV.encode())
    cfg = read_cfg(str(path))
    assert "".join(cfg.lines).encode("utf-8", "surrogateescape") == path.read_bytes()


def test_first_of_two_equal_keys_counts() -> None:
    graph = build_graph(parse_cfg(NET + "[convolutional]\nfilters=4\nfilters=9\nactivation=linear\n"))
    assert graph.nodes[0].out_shape.c == 4


def test_keys_nobody_reads_do_no_harm() -> None:
    plain = build_graph(parse_cfg(NET + CONV))
    noted = build_graph(parse_cfg(NET + "policy=steps\n" + CONV + "plan_group=3\n"))
    assert plain.nodes[0].out_shape == noted.nodes[0].out_shape
    assert plain.fingerprint() == noted.fingerprint()


@pytest.mark.parametrize(("text", "line", "words"), [
    (NET + "[conv olutional]\nfilters=8\n", 5, "unknown section [conv olutional]"),
    (NET + "[lstm]\noutput=8\n", 5, "[lstm] is not supported"),
    (NET + "[convolutional]\nsize=3\n", 5, "needs a filters= line"),
    (NET + "[convolutional]\nfilters=many\n", 6, "filters=many"),
    (NET + "[convolutional]\nfilters=8.5\n", 6, "not a whole number"),
    (NET + "[convolutional]\nfilters=1_0\n", 6, "not a whole number"),
    (NET + "[convolutional]\nfilters=\n", 6, "not a whole number"),
    (NET + "[convolutional]\nfilters=0\n", 6, "outside"),
    (NET + "[convolutional]\nfilters=99999999999999999999\n", 6, "outside"),
    (NET + "[convolutional]\nfilters=8\nstride=0\n", 7, "outside"),
    (NET + "[convolutional]\nfilters=8\nactivation=sine\n", 7, "activation=sine"),
    (NET + "[convolutional]\nfilters=8\ngroups=3\n", 7, "groups=3"),
    (NET + "[convolutional]\nfilters=8\nsize=99\n", 7, "does not fit"),
    (NET + "[convolutional]\nfilters=8\nantialiasing=1\n", 7, "antialiasing=1"),
    (NET + CONV + "[route]\nlayers=-2\n", 11, "route to nowhere"),
    (NET + CONV + "[route]\nlayers=1\n", 11, "route to nowhere"),
    (NET + CONV + "[route]\nlayers=0,7\n", 11, "route to nowhere"),
    (NET + "[route]\nlayers=-1\n", 6, "route to nowhere"),
    (NET + CONV + "[route]\n", 10, "needs a layers= line"),
    (NET + CONV + CONV + "[maxpool]\nstride=2\n[route]\nlayers=-1,0\n", 18, "different size"),
    (NET + CONV + "[shortcut]\nfrom=-5\n", 11, "shortcut from nowhere"),
    (NET + CONV + "[shortcut]\nfrom=3\n", 11, "shortcut from nowhere"),
    (NET + CONV + "[reorg]\nstride=3\n", 11, "reorg"),
    (NET + CONV + "[region]\nclasses=2\nnum=1\nanchors=1,x\n", 13, "anchors=x"),
    (NET + CONV + "[region]\nclasses=2\nnum=2\nanchors=1,1\n", 13, "needs 4 anchors"),
    (NET + CONV + "[region]\nclasses=2\nnum=1\nanchors=1,1\n", 11, "needs 7 channels"),
    (NET + CONV + "[yolo]\nclasses=3\nnum=1\nmask=1\nanchors=1,1\n", 13, "mask names anchor 1"),
    ("[net]\nwidth=0\nheight=32\nchannels=3\n" + CONV, 2, "width=0"),
    ("[net]\nwidth=-32\nheight=32\nchannels=3\n" + CONV, 2, "width=-32"),
    ("[net]\nwidth=32\nheight=999999\nchannels=3\n" + CONV, 3, "height=999999"),
    ("[net]\nwidth=32\nchannels=3\n" + CONV, 1, "needs a height= line"),
    ("[net]\nwidth=16384\nheight=16384\nchannels=3\n[convolutional]\nfilters=64\n", 5, "values"),
    (CONV, 1, "first section must be [net]"),
    ("width=3\n" + NET + CONV, 1, "before any [section]"),
    (NET + "[convolutional\nfilters=8\n", 5, "closing bracket"),
    (NET + CONV + "just words\n", 10, "just words"),
    (NET + "=3\n" + CONV, 5, "key=value"),
    (NET + CONV + NET + CONV, 10, "second [net]"),
    (NET, 1, "no layers"),
])
def test_refusals_name_file_and_line(text: str, line: int, words: str) -> None:
    message = error_of(text)
    assert message.startswith(f"x.cfg:{line}: ")
    assert words in message


def test_empty_text_is_refused() -> None:
    assert error_of("# nothing\n") == "x.cfg: the cfg has no sections"


def test_files_that_are_no_cfg(tmp_path: Path) -> None:
    with pytest.raises(CfgError, match="No such file"):
        load_graph(str(tmp_path / "absent.cfg"))
    with pytest.raises(CfgError, match="directory"):
        load_graph(str(tmp_path))
    binary = tmp_path / "x.weights"
    binary.write_bytes(bytes(range(256)))
    with pytest.raises(CfgError, match="not a cfg"):
        load_graph(str(binary))


@pytest.mark.parametrize("size", [(0, None), (None, -3), (1 << 20, None)])
def test_network_size_given_by_the_caller_is_checked(size: tuple[int, int]) -> None:
    with pytest.raises(DarkfuseError, match="outside"):
        build_graph(parse_cfg(NET + CONV), *size)


WORDS = st.sampled_from([
    "[net]", "[convolutional]", "[route]", "[yolo]", "[region]", "[maxpool]", "[shortcut]", "[reorg]", "[",
    "]", "=", "#", "1e999", "filters=8", "filters=-1", "size=3", "size=2", "stride=2", "pad=1", "padding=9",
    "dilation=2", "groups=4", "layers=-1", "layers=-1,0", "from=-2", "width=8", "height=8", "channels=3",
    "classes=1", "num=1", "anchors=1,1", "mask=0",
])


@examples(300)
@given(st.lists(st.one_of(WORDS, WORDS, WORDS, st.text(max_size=8)), max_size=40))
def test_any_text_is_a_graph_or_a_clear_refusal(lines: list[str]) -> None:
    text = NET + "\n".join(lines)
    try:
        graph = build_graph(parse_cfg(text, "x.cfg"))
    except CfgError as error:
        assert str(error).startswith("x.cfg") and "\n" not in str(error)
    else:
        for node in graph.nodes:
            assert min(node.out_shape.c, node.out_shape.h, node.out_shape.w) > 0


def test_names_and_data_files(tmp_path: Path) -> None:
    (tmp_path / "cfg").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "two.names").write_text("cat\nbig dog\n\n\n")
    data = tmp_path / "cfg" / "two.data"
    data.write_text("classes = 2\n# where\nnames = data/two.names\ntrain = a.txt\n")
    parsed = read_data(str(data))
    assert parsed.classes == 2 and parsed.values["train"] == "a.txt" and parsed.names is not None
    assert read_names(parsed.names) == ("cat", "big dog")
    data.write_text("classes = two\n")
    with pytest.raises(CfgError, match=r"two\.data:1: "):
        read_data(str(data))
    (tmp_path / "empty.names").write_text("\n")
    with pytest.raises(CfgError, match="empty"):
        read_names(str(tmp_path / "empty.names"))


def test_names_are_found_by_their_number(root: Path) -> None:
    coco, voc = find_names(str(root / "cfg/yolov2.cfg"), 80), find_names(str(root / "cfg/yolov2-voc.cfg"), 20)
    assert coco is not None and coco[0] == "person" and coco[16] == "dog" and coco[79] == "toothbrush"
    assert voc is not None and voc[11] == "dog" and voc[14] == "person"
    assert find_names(str(root / "cfg/yolov2.cfg"), 7) is None
