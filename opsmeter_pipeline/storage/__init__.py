"""Every side effect of the pipeline, a module per system or question.

Code here opens, reads and writes; what to read and what it means is decided by the stages.
"""
