"""One method for each path: reads what is asked, asks `answers`, and sends HTML or JSON.

Plain functions, so each runs in a thread of its own and a slow read keeps nobody else waiting. Add
a method here and its path in `app`; what it tells stands in `answers`. While a pause holds, only
`CRITICAL_VIEWS`, freshness, health and what a probe reads are told; `pause_file` says so.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from importlib.resources import files

import jinja2
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from opsmeter_pipeline.dashboard import page
from opsmeter_pipeline.dashboard.answers import VIEW_NAMES, Answer, Answers, tell_view
from opsmeter_pipeline.dashboard.delivery import Delivery
from opsmeter_pipeline.dashboard.health import Troubles, diagnose, judge_readiness
from opsmeter_pipeline.dashboard.metrics import (
    CONTENT_TYPE,
    RequestCounter,
    tell_warehouse,
    write_metrics,
)
from opsmeter_pipeline.dashboard.parameters import (
    DEFAULT_RANGE,
    RANGE_PARAMETERS,
    RANGES,
    read_data_mode,
    read_endpoint,
    read_environment,
    read_hours,
    read_limit,
    read_once,
)
from opsmeter_pipeline.dashboard.reader import LandingWatch, Reader
from opsmeter_pipeline.model.dashboard_errors import PausedError
from opsmeter_pipeline.model.documents import to_json
from opsmeter_pipeline.model.errors import OpsmeterError
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.pause import read_pause, tell_pause
from opsmeter_pipeline.storage.summaries import EndpointQuestion

PACKAGE = "opsmeter_pipeline.dashboard"
CRITICAL_VIEWS = ("overview",)
"""What goes on while a pause holds; the other views wait."""
_ROWS = (*RANGE_PARAMETERS, "limit")


class Handlers:
    """What answers requests about one home.

    Args:
        settings: of the home.
        limit_seconds: how long one answer may read.
        now: the clock.
    """

    def __init__(
        self, settings: Settings, *, limit_seconds: float, now: Callable[[], datetime]
    ) -> None:
        """Open nothing yet."""
        self._home, self._now = str(settings.home), now
        self._pause_file = settings.pause_file
        reader = Reader(settings, limit_seconds=limit_seconds)
        self.troubles, self.requests = Troubles(), RequestCounter()
        self._watch = LandingWatch(reader.survey)
        self._answers = Answers(reader, self._watch, now=now)
        self._delivery = Delivery(reader, now=now, report=self.report)

    def report(self, what: str) -> None:
        """Keep what went wrong for the diagnostics."""
        self.troubles.report(what, self._now())

    def close(self) -> None:
        """Write down what is still to be written, and end."""
        self._watch.close()
        self._delivery.close()

    def show_page(self, request: Request) -> Response:
        """Return the four views as HTML."""
        given, pause = _read(request, _ROWS), read_pause(self._pause_file)
        hours = read_hours(given, now=self._now())
        views = CRITICAL_VIEWS if pause else VIEW_NAMES
        answer = self._answers.read(views, hours, limit=read_limit(given))
        is_named = "from" not in given and "to" not in given
        chosen = given.get("range", DEFAULT_RANGE) if is_named else ""
        response = self.render("page.html", _describe(answer, chosen=chosen) | {"pause": pause})
        return self._note(request, response, answer)

    def tell_view(self, request: Request) -> Response:
        """Return one of the four views as JSON."""
        view = request.scope["path"].rpartition("/")[2].replace("-", "_")
        given = _read(request, _ROWS)
        if view not in CRITICAL_VIEWS:
            self._refuse_if_paused()
        hours, limit = read_hours(given, now=self._now()), read_limit(given)
        answer = self._answers.read([view], hours, limit=limit)
        response = _json(tell_view(answer, view, limit=limit))
        return self._note(request, response, answer) if view == "overview" else response

    def tell_endpoint(self, request: Request) -> Response:
        """Return a row per prompt version of one endpoint, in any environment and data mode."""
        given = _read(request, (*_ROWS, "environment", "data_mode", "prompt_version"))
        asked = EndpointQuestion(
            endpoint_tag=read_endpoint(request.path_params["endpoint"]),
            environment=read_environment(given),
            data_mode=read_data_mode(given),
            prompt_version=given.get("prompt_version"),
            hours=read_hours(given, now=self._now()),
        )
        if asked.data_mode == "real":  # a probe goes on
            self._refuse_if_paused()
        limit = read_limit(given)
        answer = self._answers.read_endpoint(asked, limit=limit)
        about = {"endpoint_tag": asked.endpoint_tag, "environment": asked.environment,
                 "data_mode": asked.data_mode}  # fmt: skip
        return _json(about | tell_view(answer, "prompt_versions", limit=limit))

    def tell_freshness(self, request: Request) -> Response:
        """Return the badge and what it is judged by."""
        answer = self._read_state(request)
        return _json({"as_of": answer.tell_as_of(), "freshness": answer.tell_freshness()})

    def tell_alive(self, request: Request) -> Response:
        """Return that the process answers."""
        _read(request, ())
        return PlainTextResponse("alive\n")

    def tell_ready(self, request: Request) -> Response:
        """Return whether the home can be shown: 200 or 503, and what is missing."""
        answer, why = self._try_state(request)
        told = judge_readiness(answer, why)
        return _json(told, status=200 if told["ready"] else 503)

    def tell_diagnostics(self, request: Request) -> Response:
        """Return what a person would look at first."""
        answer, why = self._try_state(request)
        told = diagnose(answer, version=self._version, home=self._home, troubles=self.troubles,
                        look_error=self._watch.error)  # fmt: skip
        pause = tell_pause(read_pause(self._pause_file))
        return _json(told | {"unreadable": why, "paused": pause})

    def tell_metrics(self, request: Request) -> Response:
        """Return the figures for Prometheus."""
        answer, _ = self._try_state(request)
        text = write_metrics([*tell_warehouse(answer), self.requests.tell()])
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    def send_styles(self, request: Request) -> Response:
        """Return the style sheet."""
        _read(request, ())
        styles = (files(PACKAGE) / "static" / "page.css").read_bytes()
        return Response(styles, media_type="text/css")

    def render(self, template: str, values: Mapping[str, object], *, status: int = 200) -> Response:
        """Return a page; every value is escaped."""
        text = self._templates.get_template(template).render(values, version=self._version)
        return HTMLResponse(text, status)

    @cached_property
    def _templates(self) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader(PACKAGE), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        environment.filters.update(
            instant=page.show_instant, money=page.show_money, age=page.show_seconds
        )
        return environment

    @cached_property
    def _version(self) -> str:
        return version("opsmeter-pipeline")

    def _read_state(self, request: Request) -> Answer:
        _read(request, ())
        return self._answers.read((), RANGES["today"](self._now()), limit=1)

    def _try_state(self, request: Request) -> tuple[Answer | None, str | None]:
        """Return the state, or why it cannot be read."""
        _read(request, ())
        try:
            return self._read_state(request), None
        except OpsmeterError as exc:
            return None, str(exc)

    def _refuse_if_paused(self) -> None:
        """Raise if a pause holds.

        Raises:
            PausedError: it does.
        """
        pause = read_pause(self._pause_file)
        if pause:
            raise PausedError(pause.reason, since_at=pause.since_at, paused_by=pause.paused_by)

    def _note(self, request: Request, response: Response, answer: Answer) -> Response:
        """Return the response, to be noted as served once it was sent."""
        if request.method == "GET":
            response.background = BackgroundTask(
                self._delivery.note, answer.published.snapshot_id, answer.hours
            )
        return response


def _read(request: Request, known: tuple[str, ...]) -> Mapping[str, str]:
    return read_once(request.query_params.multi_items(), known=known)


def _json(document: Mapping[str, object], *, status: int = 200) -> Response:
    return Response(to_json(document) + "\n", status, media_type="application/json")


def _describe(answer: Answer, *, chosen: str) -> dict[str, object]:
    """Return what the page's template asks for."""
    is_custom = not chosen
    return {
        "published": answer.published,
        "generated_at": answer.generated_at,
        "freshness": answer.freshness,
        "look": answer.look,
        "state": answer.state,
        "totals": answer.totals,
        "quarantined_lines": answer.quarantined_lines,
        "range_text": page.show_range(answer),
        "chosen": chosen,
        "choices": page.CHOICES,
        "from_day": answer.hours.first_day if is_custom else "",
        "to_day": answer.hours.end_day if is_custom else "",
        "tables": page.show_tables(answer),
        "meanings": page.list_meanings(),
    }
