"""The `darkfuse` command: one thin module per verb, each with `add(subparsers)` and `run(args) -> int`.

A verb's module imports nothing heavy at its top; `run` brings in what it needs.
"""
