"""How late events are visible under a steady load, and what it costs to count that.

`run` measures by probes and by the SLI, `history` the cost of an update beside much history.
README.md has the figures.
"""
