"""From other people's formats to values that this project knows, one module per source format.

Text in, plain values out; nothing is opened here. `statements` tells the formats of providers'
exports apart and knows all of them; `pages` and `values` are what several of them share. Add a
module for a new format and name it in `statements.FORMATS`.
"""
