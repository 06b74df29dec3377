"""`opsmeter up`: the Dagster UI and daemon on loopback, until stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from opsmeter_pipeline.cli.app import err
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.settings import claim_landing, load_settings

LOOPBACK = "127.0.0.1"


def up_command(*, home: Path | None, landing: str | None, port: int | None) -> None:
    """Start `dagster dev` on this home, and stop it when we are interrupted or terminated."""
    settings = load_settings(home=home, landing=landing, port=port)
    claim_landing(settings)
    open_instance(settings).dispose()
    environment = os.environ | {
        "OPSMETER_HOME": str(settings.home),
        "OPSMETER_LANDING": settings.landing_root,
        "DAGSTER_HOME": str(settings.dagster),
    }
    workspace = settings.dagster / "workspace.yaml"
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace),
               "-h", LOOPBACK, "-p", str(settings.port)]  # fmt: skip
    err.print(f"Dagster UI: http://{LOOPBACK}:{settings.port}   landing: {settings.landing_root}")
    # Set before the child starts: started in the background by a script, we and it would inherit
    # an ignored interrupt, and Dagster maps termination to interruption.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    process = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - our own command
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        code = process.wait()
    sys.exit(1 if code else 0)
