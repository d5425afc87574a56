"""One file per layer type, named after Darknet's section, and two for what several of them read.

`graph.registry` says which there are, and imports each when a cfg has its section.
"""
