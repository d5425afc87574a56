"""`darkfuse label SOURCE... --out FILE.jsonl`: boxes for a whole collection, of millions of pictures."""

from __future__ import annotations

import argparse
from typing import Any

from darkfuse.cli import arguments

FORMS = (".json", ".parquet")  # written of the lines when all are there


def add(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "label", allow_abbrev=False,
        usage="darkfuse label [CFG] [WEIGHTS] SOURCE... --out FILE.jsonl [options]",
        description="Detect in every picture of a collection once, and write a line of JSON for each. A run "
                    "that was broken off, however that happened, is gone on with by --resume.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="x.cfg, x.weights; folders (with all below "
                        "them), tar files, lists (.txt) of paths, pictures")
    parser.add_argument("--out", required=True, metavar="PATH", help="FILE.jsonl for the lines; FILE.json "
                        "(COCO's form) or FILE.parquet, written when all is done, the lines beside it; or a "
                        "folder for a file of lines of each shard")
    parser.add_argument("--shard", type=shard, default=(0, 1), metavar="i/n", help="only part i of n, "
                        "for as many processes or machines: 0/4 to 3/4")
    parser.add_argument("--resume", action="store_true", help="go on where a run was broken off")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=cluster_address, metavar="local:N", help="with so many processes of "
                       "this machine, each with --threads (default its part of the cores) and --mem of its "
                       "own")
    where.add_argument("--dask", metavar="ADDRESS", help="with the workers of a Dask scheduler, "
                       "tcp://host:8786, which must see files by the same paths; --mem and --threads are "
                       "each worker's")
    arguments.add_answers(parser)
    arguments.add_pictures(parser)
    parser.add_argument("--names", metavar="FILE", help="class names, one a line, or a Darknet .data file")
    arguments.add_running(parser)


def shard(text: str) -> tuple[int, int]:
    """`i/n` as (i, n), with i from 0 to n - 1."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count) <= 1 << 20):
        raise argparse.ArgumentTypeError(f"{text} is not i/n, a part from 0/n to (n-1)/n")
    return int(number), int(count)


def cluster_address(text: str) -> str:
    """`local:N`, with N from 1 to 256."""
    kind, _, count = text.partition(":")
    if kind != "local" or not count.isdecimal() or not 1 <= int(count) <= 256:
        raise argparse.ArgumentTypeError(f"{text} is not local:N, so many processes of this machine, N 1 "
                                         "to 256")
    return text


def run(args: argparse.Namespace) -> int:
    """Label what has no line yet. Pictures that cannot be read have a line that says why; the status is 0."""
    from contextlib import ExitStack

    from darkfuse.cli.detect import PICTURES, sort_files
    from darkfuse.cli.progress import Progress
    from darkfuse.errors import DarkfuseError
    from darkfuse.live.label import Results, at_once_for, label
    from darkfuse.live.sources import LISTS, TARS, items
    from darkfuse.session.batches import batch_wish

    cfg, weights, data, sources = sort_files(args.files, TARS + LISTS)
    if not sources:
        raise DarkfuseError("say which pictures: folders, tar files, lists of paths")
    out, path = out_paths(args.out, *args.shard)
    check_form(out)
    load = {"cfg": cfg, "weights": weights, "names": args.names or data, **arguments.loading(args),
            **arguments.pictures(args), **arguments.running(args)}
    with Results(path, args.resume) as results, ExitStack() as stack:
        looks, names = lookers(args.dask or args.workers, load, arguments.answers(args), stack)
        before, now, bad, seconds, peak = len(results.marks), 0, results.bad, 0.0, 0
        bar = stack.enter_context(Progress("pictures", None))
        for progress in label(items(sources, PICTURES), results, looks, args.shard,
                              at_once_for(batch_wish(args.batch))):
            now, bad, seconds, peak = progress.now, progress.bad, progress.seconds, progress.peak_bytes
            bar.update(progress.now)
        stack.close()  # the network's memory, before all lines are gone through
        write_form(results, out, names)
    say(path, before, now, bad, seconds, peak)
    return 0


def lookers(cluster: str | None, load: dict[str, Any], answers: dict[str, Any], stack: Any) -> Any:
    """Who looks at pictures, this process or a cluster, open as long as `stack`; and the names of classes."""
    import os
    import sys

    if not cluster:
        from darkfuse.live.label import here
        from darkfuse.session.network import load as load_network

        net = stack.enter_context(load_network(**load))
        return here(net, answers), net.names
    from darkfuse.graph import load_graph
    from darkfuse.graph.weights import weight_offsets
    from darkfuse.live.cluster import Cluster, Settings
    from darkfuse.model.locate import DEFAULT_CFG, find_cfg, find_weights
    from darkfuse.session.inputs import names_of

    # What is wrong with the files is said before anything is started
    graph = load_graph(find_cfg(load["cfg"] or DEFAULT_CFG), load["width"], load["height"], load["dialect"])
    weights = load["weights"] or find_weights(graph.path)
    weight_offsets(graph, weights)
    names = names_of(graph, weights, load["names"])
    for name in ("cfg", "weights", "names", "plan"):
        if load[name] and os.path.exists(load[name]):
            load[name] = os.path.abspath(load[name])
    workers = stack.enter_context(Cluster(cluster, Settings(tuple(load.items()), tuple(answers.items()))))
    print(f"dashboard: {workers.dashboard}", file=sys.stderr)
    return workers.looks, names


def out_paths(out: str, number: int, shards: int) -> tuple[str, str]:
    """Where the labels go, for `--out` and a shard, and where their lines."""
    import os

    part = f"-{number:05d}-of-{shards:05d}" if shards > 1 else ""
    stem, ending = os.path.splitext(out)
    if ending in (".jsonl", *FORMS):
        return f"{stem}{part}{ending}", f"{stem}{part}.jsonl"
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, f"labels{part}.jsonl")
    return path, path


def check_form(out: str) -> None:
    """Raise `DarkfuseError` where what writes that form is not installed."""
    if out.endswith(".parquet"):
        from darkfuse.host.extras import need

        need("pyarrow", "Parquet")


def write_form(results: Any, out: str, names: Any) -> None:
    """Write all lines in the form that the ending says, where it is another."""
    from darkfuse.live import forms

    if out.endswith(".json"):
        forms.write_coco(results, out, names)
    elif out.endswith(".parquet"):
        forms.write_parquet(results, out)


def say(path: str, before: int, now: int, bad: int, seconds: float, peak: int) -> None:
    """What has been done, for people."""
    import sys

    from darkfuse.host.units import format_bytes

    rate = f", {now / seconds:.2f} a second" if seconds else ""
    most = f", in {format_bytes(peak)} a process at most" if peak else ""
    print(f"{path}: {now} pictures{rate}{most}; {before} were done before; {bad} of all cannot be read",
          file=sys.stderr)
