"""Side-by-side measurements that anyone can run.

Each folder holds one question, the inputs to ask it with, and the rival it is asked against.
Add a folder here for a claim about speed or size. Nothing in here is imported by the product,
and nothing asserts a threshold: a benchmark checks that both sides gave the same answer, then
prints how long each took and with which versions.
"""
