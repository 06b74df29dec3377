"""The page and its API over real homes: right numbers, whole batches, and nobody else's eyes."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from opsmeter_pipeline.dashboard.reader import Reader
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.dashboard_errors import WarehouseSlowError, WarehouseUnreadableError
from opsmeter_pipeline.model.documents import to_json
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.summaries import open_snapshot
from tests.pipeline.conftest import MakeHome
from tests.pipeline.serving import Client, serving
from tests.pipeline.support import NOON, PipelineHome, call_opsmeter, hours, jsonl, payload

VIEWS = ("overview", "top_endpoints", "top_users", "prompt_versions")
SCRIPT = "<script>alert('x')</script>"
TOKEN = "a-token-of-thirty-two-characters"
DAY_OF_ALL = "from=2025-03-10&to=2025-03-11"
SECURE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@pytest.fixture(scope="module")
def shown(make_home: MakeHome) -> PipelineHome:
    home = make_home()
    lab = {"model": "house-model-1", "endpointTag": "lab.try", "promptVersion": "p1"}
    probe = {"endpointTag": "opsmeter.synthetic_probe", "dataMode": "test"}
    home.land("a.jsonl", jsonl(
        payload("a"), payload("b", userId="u2"), payload("c", model="house-model-1"),
        payload("d", **lab),
        payload("e", endpointTag=SCRIPT, promptVersion='"><img src=x onerror=alert(1)>'),
        payload("p17", promptVersion="probe-17", **probe),
        payload("p18", promptVersion="probe-18", **probe),
        "{}",
    ))  # fmt: skip
    home.take_all()
    return home


@pytest.fixture(scope="module")
def client(shown: PipelineHome) -> Iterator[Client]:
    with serving(shown.settings) as client:
        yield client


class _Tables(HTMLParser):
    """Collects each table's caption, header scopes, and the texts and exact values of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[dict[str, Any]] = []
        self.headings: list[str] = []
        self.tags: set[str] = set()
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._inside.append(tag)
        if tag == "table":
            self.tables.append({"caption": "", "scopes": [], "rows": []})
        elif tag == "th":
            self.tables[-1]["scopes"].append(dict(attrs).get("scope"))
        if tag == "tr":
            self.tables[-1]["rows"].append([])
        elif tag in ("th", "td"):
            self.tables[-1]["rows"][-1].append(["", None])
        elif tag == "data" and "td" in self._inside:
            self.tables[-1]["rows"][-1][-1][1] = dict(attrs)["value"]

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "caption" in self._inside:
            self.tables[-1]["caption"] += data
        elif "td" in self._inside or "th" in self._inside:
            self.tables[-1]["rows"][-1][-1][0] += data
        elif self._inside and self._inside[-1] == "h2":
            self.headings.append(data)


@pytest.mark.parametrize("view", VIEWS)
def test_the_api_tells_the_rows_of_the_view_exactly(
    client: Client, shown: PipelineHome, view: str
) -> None:
    found = shown.resource.lake.query(f"FROM {view}").to_dicts()
    assert found
    for asked in ("range=all", DAY_OF_ALL):
        told = client.get(f"/api/v1/{view.replace('_', '-')}?{asked}").json
        assert told["rows"] == json.loads(to_json(found))
        assert set(told["as_of"]) == {"snapshot_id", "complete_through", "generated_at"}
        assert told["more"] is False


def test_a_range_without_events_is_empty_and_a_limit_says_that_there_is_more(
    client: Client,
) -> None:
    assert client.get("/api/v1/top-endpoints?from=2025-03-11&to=2025-03-12").json["rows"] == []
    hour = "from=2025-03-10T11:00:00Z&to=2025-03-10T12:00:00Z"
    told = client.get(f"/api/v1/top-users?limit=1&{hour}").json
    assert (len(told["rows"]), told["more"]) == (1, True)
    # Users have no hours: the answer says which days it is of.
    assert told["range"] == {
        "start_at": "2025-03-10T00:00:00+00:00",
        "end_at": "2025-03-11T00:00:00+00:00",
    }


def test_the_page_shows_the_numbers_of_the_views(client: Client, shown: PipelineHome) -> None:
    page = _Tables(client.get("/?range=all").text)
    assert page.headings == ["Overview", "Top Endpoints", "Top Users", "Prompt Versions"]
    keys = {"overview": 2, "top_endpoints": 1, "top_users": 2, "prompt_versions": 2}
    for view, table in zip(VIEWS, page.tables, strict=True):
        rows = shown.resource.lake.query(f"FROM {view}").to_dicts()
        costs = [None if row["cost_usd"] is None else f"{row['cost_usd']:f}" for row in rows]
        assert [row[keys[view]][1] for row in table["rows"][1:]] == costs
        assert table["caption"].startswith("One row per ")
        assert table["caption"].endswith("In all time.")
        assert None not in table["scopes"]
    assert not page.tags & {"script", "img", "iframe"}


def test_the_page_says_what_its_totals_leave_out(client: Client) -> None:
    page = client.get(f"/?{DAY_OF_ALL}").text
    words = " ".join(re.sub("<[^>]*>", " ", page).split())
    assert "Cost (USD) at least 0.0105" in words  # three of five attempts have a price
    assert "2 of 5 attempts have no price" in words
    assert "1 line that landed on these days is in quarantine" in words
    assert "2 attempts are no production traffic" in words
    assert "left out, at a cost of 0.0070 USD" in words
    assert "fresh complete through" in words
    assert "The totals are final ." in words
    endpoints = {row[0][0]: [cell[0] for cell in row] for row in _Tables(page).tables[1]["rows"]}
    assert endpoints["chat.reply"][1] == "at least 0.0070"
    assert endpoints["lab.try"][1:5] == ["unpriced", "–", "1", "unpriced"]  # noqa: RUF001


def test_the_totals_of_the_api_are_decimals_and_a_total_without_a_price_is_null(
    client: Client,
) -> None:
    told = client.get(f"/api/v1/overview?{DAY_OF_ALL}").json
    assert told["totals"]["cost_usd"] == "0.010500000000000000"
    assert told["totals"]["left_out_cost_usd"] == "0.007000000000000000"
    assert told["totals"]["attempts"] == 5
    assert told["freshness"]["state"] == "fresh"
    lab = client.get(f"/api/v1/endpoints/lab.try?{DAY_OF_ALL}").json
    assert [(row["attempts"], row["cost_usd"]) for row in lab["rows"]] == [(1, None)]


def test_markup_in_a_name_stays_text(client: Client) -> None:
    text = client.get("/?range=all").text
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in text
    assert "&#34;&gt;&lt;img src=x onerror=alert(1)&gt;" in text
    assert "<script" not in text
    assert "<img" not in text
    odd = client.get("/?range=%3Cscript%3E")
    assert (odd.status, "<script" in odd.text) == (400, False)


def test_a_probe_finds_its_own_event_by_its_prompt_version(client: Client) -> None:
    path = f"/api/v1/endpoints/opsmeter.synthetic_probe?{DAY_OF_ALL}"
    assert client.get(path).json["rows"] == []  # production has none
    told = client.get(f"{path}&data_mode=test&prompt_version=probe-17").json
    assert [(row["prompt_version"], row["attempts"], row["cost_usd"]) for row in told["rows"]] == [
        ("probe-17", 1, "0.003500000000000000")
    ]
    both = client.get(f"{path}&data_mode=test").json["rows"]
    assert [row["prompt_version"] for row in both] == ["probe-17", "probe-18"]
    assert client.get(f"{path}&data_mode=test&prompt_version=probe-19").json["rows"] == []
    slashed = client.get("/api/v1/endpoints/v1/%2Fchat%27%20OR%201=1--?range=all").json
    assert (slashed["endpoint_tag"], slashed["rows"]) == ("v1//chat' OR 1=1--", [])


@pytest.mark.parametrize(
    ("path", "method", "status", "text"),
    [
        ("/", "GET", 200, "</html>"),
        ("/", "HEAD", 200, ""),
        ("/static/page.css", "GET", 200, "prefers-color-scheme"),
        ("/static/../app.py", "GET", 404, "Not Found"),
        ("/", "POST", 405, "Method Not Allowed"),
        ("/api/v1/overview", "DELETE", 405, '{"error":"Method Not Allowed: /api/v1/overview"}'),
        ("/api/v1/nothing", "GET", 404, '{"error":"Not Found: /api/v1/nothing"}'),
        ("/api/v1/overview?rnage=7d", "GET", 400, "There is no parameter 'rnage' here. There are"),
        ("/api/v1/endpoints/a?data_mode=prod", "GET", 400, "Give one of real, test, demo."),
        ("/api/v1/endpoints/", "GET", 400, "endpoint='': it is empty. Name one after the last"),
        ("/api/v1/endpoints", "GET", 404, "Not Found"),
        ("/healthz?x=1", "GET", 400, "None can be given here."),
        ("/api/v1/endpoints/" + "x" * 1001, "GET", 400, "Give at most 1000."),
    ],
)
def test_every_answer_has_its_status_and_the_headers(
    client: Client, path: str, method: str, status: int, text: str
) -> None:
    answer = client.get(path, method=method)
    assert answer.status == status
    assert text in answer.text
    told = {name.title(): value for name, value in answer.headers.items()}
    assert {name: told.get(name) for name in SECURE} == SECURE
    assert not set(told) & {"Server", "Set-Cookie"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_page_of_somebody_elses_name_gets_nothing(client: Client, host: str) -> None:
    answer = client.get("/api/v1/overview", Host=host)
    assert (answer.status, answer.text) == (400, "Invalid host header")
    assert client.get("/healthz", Host="localhost:1").status == 200


def test_a_token_is_asked_for_by_every_path_but_the_pulse(shown: PipelineHome) -> None:
    settings = shown.settings.model_copy(update={"dashboard_token": SecretStr(TOKEN)})
    with serving(settings) as client:
        wrong = ("Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é")
        for borne in ({}, *({"Authorization": one} for one in wrong)):
            for path in ("/", "/api/v1/overview", "/metrics", "/readyz", "/static/page.css"):
                answer = client.get(path, **borne)
                assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert TOKEN not in answer.text
        assert client.get("/healthz").text == "alive\n"
        assert client.get("/readyz", Authorization=f"bearer {TOKEN}").json["ready"] is True


def test_state_and_metrics_say_the_same(client: Client, shown: PipelineHome) -> None:
    assert client.get("/readyz").status == 200
    told = client.get("/diagnostics").json
    assert (told["events"], told["quarantined_lines"], told["batches"]) == (7, 1, 1)
    assert told["unreadable"] is None
    metrics = client.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    assert lines["opsmeter_events"] == "7"
    assert lines["opsmeter_quarantined_lines"] == "1"
    assert lines["opsmeter_fresh"] == "1.0"
    visible_at = shown.value("SELECT visible_at FROM ingest_batches")
    assert float(lines["opsmeter_last_publish_timestamp_seconds"]) == visible_at.timestamp()
    assert int(float(lines['opsmeter_http_requests_total{path="/readyz",status="200"}'])) >= 1
    shown.land("late.jsonl", jsonl(payload("late")))
    try:
        with serving(shown.settings) as fresh_look:
            late = fresh_look.get("/api/v1/freshness").json["freshness"]
    finally:
        (shown.landing / "late.jsonl").unlink()
    assert (late["state"], late["waiting_files"]) == ("late", 1)
    assert late["complete_through"] == NOON.isoformat()


def test_a_home_that_cannot_be_read_is_503_with_the_remedy(
    shown: PipelineHome, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    (empty / "landing").mkdir(parents=True)
    broken = tmp_path / "broken"
    shutil.copytree(shown.settings.warehouse, broken / "warehouse")
    (broken / "warehouse" / "catalogue.sqlite").write_bytes(b"not a catalogue" * 100)
    for home, text in ((empty, "opsmeter run"), (broken, "The warehouse cannot be read now")):
        with serving(replace_home(shown.settings, home)) as client:
            for path in ("/", "/api/v1/overview"):
                answer = client.get(path)
                assert (answer.status, answer.headers["retry-after"]) == (503, "5")
                assert text in answer.text
            assert client.get("/readyz").status == 503
            assert "opsmeter_warehouse_readable 0.0" in client.get("/metrics").text
            assert client.get("/healthz").status == 200
    assert not (empty / "warehouse").exists()


_HOLD = """
import sqlite3, sys
catalogue = sqlite3.connect(sys.argv[1], isolation_level=None)
catalogue.execute("PRAGMA journal_mode = DELETE")
catalogue.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_catalogue_that_is_locked_is_503_and_comes_back(
    shown: PipelineHome, tmp_path: Path
) -> None:
    shutil.copytree(shown.settings.warehouse, tmp_path / "warehouse")
    catalogue = str(tmp_path / "warehouse" / "catalogue.sqlite")
    with serving(replace_home(shown.settings, tmp_path)) as client:
        # Another process: a lock does not hold within one.
        with subprocess.Popen(
            [sys.executable, "-c", _HOLD, catalogue], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout.readline() == b"held\n"
            answer = client.get(f"/api/v1/top-users?{DAY_OF_ALL}")
            holder.stdin.close()
        assert answer.status == 503
        assert "database is locked" in answer.json["error"]
        assert len(client.get(f"/api/v1/top-users?{DAY_OF_ALL}").json["rows"]) == 2


def test_a_first_served_that_cannot_be_written_costs_no_answer(home: PipelineHome) -> None:
    """As in a warehouse of an older version, until the next run adds the table."""
    home.resource.lake.transact(lambda con: con.execute("DROP TABLE first_served"))
    with serving(home.settings) as client:
        for _ in range(2):
            assert client.get(f"/?{DAY_OF_ALL}").status == 200
        deadline = time.monotonic() + 60
        while not (error := client.get("/diagnostics").json["last_error"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert error["what"].startswith("first_served was not written: ")


def replace_home(settings: Settings, home: Path) -> Settings:
    return settings.model_copy(update={"home": home})


def test_a_query_that_takes_too_long_is_stopped(shown: PipelineHome) -> None:
    slow = "SELECT count(*) FROM range(10_000_000) a, range(100_000) b WHERE a.range + b.range = 3"
    started = time.monotonic()
    with (
        pytest.raises(WarehouseSlowError, match=r"within 0\.2 s"),
        open_snapshot(shown.resource.lake, limit_seconds=0.2) as con,
    ):
        con.execute(slow)
    assert time.monotonic() - started < 30
    with pytest.raises(WarehouseUnreadableError), Reader(shown.settings).open_snapshot() as con:
        con.execute("FROM nothing_of_that_name")


@pytest.fixture
def growing(make_home: MakeHome) -> PipelineHome:
    home = make_home()
    home.land("0.jsonl", jsonl(*(payload(f"0-{n}") for n in range(50))))
    home.take_all()
    return home


def test_each_answer_is_of_one_snapshot_and_each_batch_is_served_first_once(
    growing: PipelineHome,
) -> None:
    asked = f"/api/v1/overview?{DAY_OF_ALL}"
    patient = {"limit_seconds": 60}
    with serving(growing.settings, **patient) as one, serving(growing.settings, **patient) as two:
        one.get("/api/v1/overview?from=2025-03-11&to=2025-03-12")  # holds none of it
        one.get(asked, method="HEAD")  # nobody read that
        one.get("/api/v1/top-endpoints?range=all")  # no overview
        asked_at = utc_now()
        with ThreadPoolExecutor(4) as pool:
            firsts = list(pool.map(lambda client: client.get(asked).json, [one, two] * 4))
        assert {told["totals"]["attempts"] for told in firsts} == {50}
        _wait_for_served(growing, batches=1)
        told = _ask_while_publishing(growing, (one, two), asked)
        _wait_for_served(growing, batches=2)
        assert one.get("/diagnostics").json["last_error"] is None
    assert {each["totals"]["attempts"] for each in told} <= {50, 101}
    for each in told:
        attempts = each["totals"]["attempts"]
        assert each["totals"]["cost_usd"] == f"{attempts * Decimal('0.0035'):.18f}"
        assert each["quarantined_lines"] == (attempts == 101)
    rows = growing.rows(
        "SELECT batch_id, served_at > greatest(taken_at, ?) FROM ingest_batches "
        "JOIN first_served USING (batch_id) ORDER BY taken_at",
        asked_at,
    )
    assert [is_after for _, is_after in rows] == [True, True]
    assert growing.value("SELECT count(*) FROM first_served") == 2


def _ask_while_publishing(
    home: PipelineHome, clients: tuple[Client, ...], asked: str
) -> list[dict[str, Any]]:
    done = threading.Event()
    told: list[dict[str, Any]] = []

    def ask(client: Client) -> None:
        while not done.is_set():
            told.append(client.get(asked).json)
            time.sleep(0.3)  # the publisher shares two cores with us
        told.append(client.get(asked).json)

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask, client) for client in clients]
        home.land("1.jsonl", jsonl(*(payload(f"1-{n}") for n in range(51)), "{}"),
                  landed_at=NOON + hours(1))  # fmt: skip
        assert home.take_all() == 1
        done.set()
        for one in asking:
            one.result()
    assert told[-1]["totals"]["attempts"] == 101
    return told


def _wait_for_served(home: PipelineHome, *, batches: int) -> None:
    deadline = time.monotonic() + 60
    while home.value("SELECT count(*) FROM first_served") < batches:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_command_refuses_what_others_could_read_and_what_is_no_home(tmp_path: Path) -> None:
    code, out, err = call_opsmeter("dashboard", "--host", "0.0.0.0", home=tmp_path)
    assert (code, out) == (2, "")
    assert "OPSMETER_DASHBOARD_TOKEN" in err
    code, out, err = call_opsmeter("dashboard", home=tmp_path)
    assert (code, out) == (2, "")
    assert "There is no warehouse" in err
