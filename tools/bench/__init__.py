"""The peers of `bench_peers.py`: one file per runtime, and what builds their models."""
