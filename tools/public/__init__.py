"""The cfgs of the public collections, in shorthand.

`shorthand` turns a line of words into the text of a cfg; `early`, `middle`, `later` and `scaled` have the
networks, each written down from the structure of the published file; `names` says of every name of the two
collections (the original's and AlexeyAB's) where its network is to be found. `tools/check_cfgs.py` reads
them.
"""
