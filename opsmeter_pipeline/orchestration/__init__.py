"""How Dagster is wired: resources, partitions, jobs, sensors, metadata. Values, no logic.

Nothing here knows what a stage does; `assets/` and `checks/` use it and `definitions` puts it
all together.
"""
