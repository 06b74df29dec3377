"""Every side effect of the pipeline, one class per system: lake, landing, staging, price book.

Code here opens, reads and writes; what to read and what it means is decided by the stages.
"""
