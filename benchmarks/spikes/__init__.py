"""Spikes: what they cost over a year, and how often chance is taken for one."""
