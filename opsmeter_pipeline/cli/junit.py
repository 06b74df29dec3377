"""The gate's answer as JUnit XML, as CI systems read it: a test case for each reason.

A reason that keeps the release back is a `failure`, its type `closed` or `unknown`; a waived one is
`skipped`. Systems tell cases by classname and name, so both are the same from run to run.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from xml.etree import ElementTree as ET

from opsmeter_pipeline.gate import Reason

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write; the library would write it as it is."""


def write_junit(reasons: Sequence[Reason], *, environment: str, now: datetime) -> str:
    """Return the document; `now` (UTC) is the suite's time."""
    failed = sum(not one.passes for one in reasons)
    counts = {"tests": str(len(reasons)), "failures": str(failed), "errors": "0"}
    skipped = str(sum(one.is_waived for one in reasons))
    suites = ET.Element("testsuites", {"name": "opsmeter gate", **counts, "time": "0"})
    suite = ET.SubElement(
        suites,
        "testsuite",
        {
            "name": f"opsmeter gate {environment}",
            **counts,
            "skipped": skipped,
            "time": "0",
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}",
        },
    )
    for one in reasons:
        _add_case(suite, one, environment=environment)
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _add_case(suite: ET.Element, reason: Reason, *, environment: str) -> None:
    named = {"classname": f"opsmeter.gate.{environment}", "name": _clean(reason.name), "time": "0"}
    case = ET.SubElement(suite, "testcase", named)
    told = f"{reason.state.value}: {reason.found}"
    if reason.is_waived:
        ET.SubElement(case, "skipped", {"message": _clean(f"waived; {told}")})
    elif not reason.passes:
        about = {"message": _clean(told), "type": reason.state.value}
        text = f"found: {reason.found}\nmust be: {reason.limit}\nnext: {reason.next_step}"
        ET.SubElement(case, "failure", about).text = _clean(text)
    else:
        ET.SubElement(case, "system-out").text = _clean(told)


def _clean(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
