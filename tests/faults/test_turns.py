"""Writers of one warehouse take turns, and nobody waits for one that is dead or hangs."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsmeter_pipeline.storage import lake as lakes
from opsmeter_pipeline.storage.lake import TURN, Lake

_HOLD = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "warehouse")
    lake.create({})
    return lake


@pytest.fixture
def holder(lake: Lake) -> Iterator[subprocess.Popen[str]]:
    """Another process whose turn it is."""
    command = [sys.executable, "-c", _HOLD, str(lake.folder / TURN)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def _write(lake: Lake) -> None:
    lake.transact(lambda con: con.execute("INSERT INTO price_aliases VALUES "
                                          "('p', 'n', 'p', 'm', 'v', now())"))  # fmt: skip


def _count(lake: Lake) -> int:
    return lake.read("SELECT count(*) FROM price_aliases").item()


def test_a_writer_waits_for_its_turn_and_a_killed_one_keeps_nobody(
    lake: Lake, holder: subprocess.Popen[str]
) -> None:
    writer = threading.Thread(target=_write, args=[lake])
    writer.start()
    writer.join(0.5)
    assert writer.is_alive()
    assert _count(lake) == 0
    holder.send_signal(signal.SIGKILL)
    writer.join(20)
    assert _count(lake) == 1


def test_a_writer_that_hangs_is_not_waited_for_longer_than_its_turn(
    lake: Lake, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lakes, "TURN_SECONDS", 0.2)
    holder.send_signal(signal.SIGSTOP)
    _write(lake)
    assert _count(lake) == 1


def test_the_file_of_the_turn_is_its_owners(lake: Lake) -> None:
    _write(lake)
    assert (lake.folder / TURN).stat().st_mode & 0o077 == 0
