"""The whole job, landing to warehouse, against one hand-written DuckDB script.

`make_lines` writes the input, `prices` the price table the script reads, `by_hand` is the rival
and `run` measures both in turn. README.md says what the comparison does and does not show.
Keep the rival as quick as it can honestly be: it is the bar the product is measured against.
"""
