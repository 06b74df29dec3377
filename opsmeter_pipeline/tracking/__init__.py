"""The tracking stage: how well producers tell us what they call, and when they stop to.

`source` says who a producer is, `counts` what is kept of each batch, `shifts` what changed against
a producer's own past, `quiet` who fell silent, `tags` and `mistakes` which of the common mistakes
are made, `manifests` whether what arrived is what was sent, `lags` how far apart clocks are and
`clocks` which of them are skewed. Frames, thresholds and `now` in, verdicts out;
`checks/tracking.py` reports them. Comes after `identity`; `publish` writes its rows.
"""
