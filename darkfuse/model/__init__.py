"""Bytes to facts: what a `.cfg`, `.weights`, `.names` or `.data` file says, and where it says it.

Nothing here knows what a layer computes, and nothing here reads a weight: a `.weights` file of any size costs
one header read and a list of byte offsets.
"""
