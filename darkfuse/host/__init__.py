"""The machine we run on: memory of the process, the helper process, lazy imports, Ctrl-C, sizes in words, and
files written whole (`files`).

Every room may import from here; nothing here imports from another room.
"""
