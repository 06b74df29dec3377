"""The freshness stage: how long after its ingest time an event was visible, and what was promised.

`counts` counts a batch's lags once its moment of visibility is known, `waiting` what is not
visible yet, `slo` judges both by the objective. Comes after `publish`; `views` show the counts.
"""
