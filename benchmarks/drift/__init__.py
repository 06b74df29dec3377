"""Whether drift is found, and how often it is found where nothing changed.

`traffic` resamples real traces into the events of many endpoints, `judge` asks the product and the
naive comparison of two averages about the same events hour by hour, `year` measures the cost over a
year of cube. The tables stand in docs/drift.md, with the commands.
"""
