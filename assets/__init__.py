"""The way of the data: thin assets, a module per stage, wired by their `deps` alone.

An asset reads what earlier ones staged, makes one call into its stage in `opsmeter_pipeline`,
writes what came back and reports it. Logic belongs into the stage, wiring values into
`opsmeter_pipeline.orchestration`.
"""
