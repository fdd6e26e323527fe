"""JUnit XML: one suite per pair, one case per rung, so that any build server can show a verdict."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from parity.report.formats import printable
from parity.report.views import asked


def junit(report: dict[str, Any]) -> str:
    """The report's verdicts as one ``<testsuites>`` document."""
    suites = [_suite(verdict, str(report.get("created", ""))) for verdict in report["verdicts"]]
    root = ET.Element("testsuites", {"name": "parity", **_totals(suites)})
    root.extend(suites)
    ET.indent(root, " ")
    return printable('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")


def _suite(verdict: dict[str, Any], created: str) -> ET.Element:
    name = str(verdict["name"])
    cases = [_case(name, rung, verdict["findings"]) for rung in verdict["rungs"].values()]
    if not verdict.get("output_judged", True):
        case = ET.Element("testcase", classname=name, name="coverage", time="0.000")
        ET.SubElement(case, "failure", type="abstain", message="the network's output could not be judged")
        cases.append(case)
    suite = ET.Element("testsuite", {"name": name, "timestamp": created, **_totals(cases)})
    listed = _properties(verdict)
    if listed:
        properties = ET.SubElement(suite, "properties")
        for key, value in listed:
            ET.SubElement(properties, "property", name=key, value=value)
    suite.extend(cases)
    return suite


def _properties(verdict: dict[str, Any]) -> list[tuple[str, str]]:
    """What was asked of a network, what it is faithful for, and its notes."""
    if not asked(verdict):
        return []
    facts = [
        ("scope", verdict["scope"]),
        ("faithful_for", verdict["faithful_for"]),
        ("weights", verdict["weights"]),
        ("not_asked", ", ".join(verdict["not_asked"])),
    ]
    return facts + [("note", note) for note in verdict.get("notes", [])]


def _case(pair: str, rung: dict[str, Any], findings: list[dict[str, Any]]) -> ET.Element:
    case = ET.Element("testcase", classname=pair, name=rung["name"], time=f"{rung.get('seconds') or 0:.3f}")
    if rung["judgement"] == "fail":
        checks = [check for check in rung["checks"] if check["judgement"] == "fail"]
        lines = [f"{check['layer']}: {check['what']}: {check['message'] or check['measured']}" for check in checks]
        for finding in findings:
            if finding["rung"] == rung["name"]:
                layers = finding.get("layers") or []
                where = f" ({len(layers)} layers: {', '.join(layers)})" if len(layers) > 1 else ""
                lines += [f"[{finding['kind']}] {finding['message']}{where}", f"    fix: {finding['fix']}"]
        failure = ET.SubElement(case, "failure", type="fail", message=rung["message"])
        failure.text = "\n".join(lines)
    elif rung["judgement"] == "abstain":
        ET.SubElement(case, "skipped", message=rung["message"])
    elif rung["judgement"] == "known-difference":
        ET.SubElement(case, "system-out").text = f"known difference: {rung['message']}"
    return case


def _totals(elements: list[ET.Element]) -> dict[str, str]:
    cases = [case for element in elements for case in element.iter("testcase")]
    return {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": f"{sum(float(case.get('time', 0)) for case in cases):.3f}",
    }
