"""Code that acts as a client: it puts telemetry into landing, as a service of a user would.

Holds the demo day and whatever else plays a sender (the probe, a load generator, a collector).
Add a module here when something must write into landing.
Keep out: reading landing, judging lines, prices. A producer knows the wire payload and nothing of
the warehouse, and no stage ever imports it.
Before it in the flow: nothing. After it: landing.
"""
