"""The machine we run on: memory of the process, the helper process, lazy imports, Ctrl-C, sizes in words.

Every room may import from here; nothing here imports from another room.
"""
