"""The bench measures what it says: medians of separate processes, their parts, and failing commands as failures."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from parity import bench

SLEEP = bench.Job("sleep", ("-c", "import time; time.sleep(0.2); x = bytearray(200 << 20)"), 0.1, 6)
VERDICTS = [
    {"name": "a.generator", "seconds": 0.002, "rungs": {"weights": {"seconds": 0.001}}},
    {"name": "a.generator:nc=3", "seconds": 0.003, "rungs": {"weights": {"seconds": 0.002}}},
    {"name": "a.generator:nc=1", "seconds": 0.004, "rungs": {"weights": {"seconds": 0.001}}},
    {"name": "a.training:loss.kind=wgan", "seconds": 0.005, "rungs": {"step": {"seconds": 0.004}}},
]
BY_RUNG = {
    "full width: weights": 0.001,
    "full width: tracing": 0.001,
    "options, tiny: weights": 0.003,
    "options, tiny: tracing": 0.004,
    "training: step": 0.004,
    "training: tracing": 0.001,
}
JUNIT = "<testsuite><testcase classname='parity.test_a' time='0.01'/><testcase classname='parity.test_a'/></testsuite>"


def test_wall_time_and_peak_memory_are_those_of_the_process():
    # measured from a process of its own: a child's peak starts at the size of what it was forked from
    code = f"from parity import bench; print(*bench.run_once(bench.{SLEEP!r}, 2)[:3])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, processor_seconds, gigabytes = map(float, run.stdout.split())
    assert 0.2 <= seconds < 5
    assert 0 < processor_seconds < seconds
    assert 0.2 <= gigabytes < 0.4


@pytest.mark.parametrize(
    ("reader", "text", "parts"),
    [
        ("verdicts", json.dumps(VERDICTS), BY_RUNG),
        ("junit", JUNIT, {"test_a": 0.01}),
    ],
)
def test_parts_come_from_what_the_command_wrote(reader, text, parts):
    job = bench.Job("writes", ("-c", f"import sys; open(sys.argv[1], 'w').write({text!r})", bench.OUT), parts=reader)
    run = bench.run_once(job, 2)
    rest = run.parts.pop(bench.REST)
    assert run.parts == pytest.approx(parts)
    assert rest == pytest.approx(run.seconds - sum(parts.values()))


def test_a_failing_command_is_no_measurement(capsys, monkeypatch):
    monkeypatch.setattr(bench, "JOBS", (bench.Job("broken", ("-c", "raise SystemExit('no such pair')")),))
    assert bench.main(["--runs", "1"]) == 2
    assert "broken: exit status 1\nno such pair" in capsys.readouterr().err


def test_the_table_holds_medians_and_goals():
    slow = bench.Figures("sleep", [1.0, 9.0, 2.0], [3.0, 1.0, 1.5], [0.5, 0.5, 0.5], {"rung forward": [1.0, 3.0, 2.0]})
    host = {"processor": "p", "cores": 2, "gigabytes": 8, "system": "s", "versions": {"torch": "2"}}
    text = bench.to_markdown((SLEEP,), [slow], host, 3)
    assert "| sleep | 2.00 (1.00 … 9.00) | 1.50 | 0.50 | under 0.1 s and 6 GB: **missed** |" in text
    assert "| rung forward | 2.00 |" in text


def test_impossible_options_are_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        bench.main(["--only", "nothing of the kind"])
    assert stop.value.code == 2
    assert "parity verify --all" in capsys.readouterr().err


def test_every_single_figure_goes_into_the_json(tmp_path, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(bench, "JOBS", (SLEEP,))
    monkeypatch.setattr(bench, "run_once", lambda job, cores: bench.Run(0.2, 0.1, 0.3, {"weights": 0.1}))
    file = tmp_path / "bench.json"
    assert bench.main(["--runs", "2", "--json", str(file)]) == 0
    (job,) = json.loads(file.read_text())["jobs"]
    assert job["seconds"] == [0.2, 0.2] and job["parts"] == {"weights": [0.1, 0.1]}
