"""`opsmeter up`: the Dagster UI and daemon on loopback, until stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from opsmeter_pipeline.cli.app import err
from opsmeter_pipeline.orchestration.instance import write_instance_files
from opsmeter_pipeline.settings import load_settings

LOOPBACK = "127.0.0.1"


def up_command(*, home: Path | None, landing: str | None, port: int | None) -> None:
    """Start `dagster dev` on this home and hand it our signals."""
    settings = load_settings(home=home, landing=landing, port=port)
    write_instance_files(settings)
    if settings.landing is None:
        Path(settings.landing_root).mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "OPSMETER_HOME": str(settings.home),
        "OPSMETER_LANDING": settings.landing_root,
        "DAGSTER_HOME": str(settings.dagster),
    }
    workspace = settings.dagster / "workspace.yaml"
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace),
               "-h", LOOPBACK, "-p", str(settings.port)]  # fmt: skip
    err.print(f"Dagster UI: http://{LOOPBACK}:{settings.port}   landing: {settings.landing_root}")
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own command
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: process.send_signal(received))
    sys.exit(process.wait())
