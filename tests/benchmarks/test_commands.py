"""The bench measures what it says: medians of separate processes, their parts, and failing processes as failures."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import __main__ as bench
from benchmarks import clips, commands, host, processes, tables

SLEEP = commands.Job("sleep", ("-c", "import time; time.sleep(0.2); x = bytearray(200 << 20)"), 0.1, 6)
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
    code = f"from benchmarks import commands; print(*commands.run_once(commands.{SLEEP!r}, 2)[:3])"
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
    job = commands.Job(
        "writes", ("-c", f"import sys; open(sys.argv[1], 'w').write({text!r})", commands.OUT), parts=reader
    )
    run = commands.run_once(job, 2)
    rest = run.parts.pop(commands.REST)
    assert run.parts == pytest.approx(parts)
    assert rest == pytest.approx(run.seconds - sum(parts.values()))


def test_a_failing_command_is_no_measurement(capsys, monkeypatch):
    monkeypatch.setattr(commands, "JOBS", (commands.Job("broken", ("-c", "raise SystemExit('no such pair')")),))
    assert bench.main(["--runs", "1", "--only", "commands"]) == 2
    assert "broken: exit status 1\nno such pair" in capsys.readouterr().err


def test_the_table_holds_medians_and_goals(monkeypatch):
    monkeypatch.setattr(commands, "JOBS", (SLEEP,))
    slow = commands.Figures(
        "sleep", [1.0, 9.0, 2.0], [3.0, 1.0, 1.5], [0.5, 0.5, 0.5], {"rung forward": [1.0, 3.0, 2.0]}
    )
    text = commands.to_markdown([slow])
    assert "| sleep | 2.00 (1.00 … 9.00) | 1.50 | 0.50 | under 0.1 s and 6 GB: **missed** |" in text
    assert "| rung forward | 2.00 |" in text


def test_columns_of_text_and_of_numbers():
    table = tables.Table("A note.", ("name:", "s"), [("a", tables.span([2.0, 1.0, 4.0], 1))])
    assert table.to_markdown() == "A note.\n\n| name | s |\n|---|--:|\n| a | 2.0 (1.0 … 4.0) |"


def test_impossible_options_are_refused(capsys):
    for wrong in (["--only", "nothing of the kind"], ["--runs", "0"]):
        with pytest.raises(SystemExit) as stop:
            bench.main(wrong)
        assert stop.value.code == 2
    shown = capsys.readouterr().err
    assert "parity verify --all" in shown and "train specgan torch" in shown and "--runs and --cores" in shown


def test_every_single_figure_goes_into_the_json(tmp_path, monkeypatch, capsys) -> None:  # noqa: ANN001
    monkeypatch.setattr(commands, "JOBS", (SLEEP,))
    monkeypatch.setattr(commands, "run_once", lambda job, cores: commands.Run(0.2, 0.1, 0.3, {"weights": 0.1}))
    file = tmp_path / "bench.json"
    assert bench.main(["--runs", "2", "--only", "commands", "--json", str(file)]) == 0
    body = json.loads(file.read_text())
    (job,) = body["commands"]
    assert job["seconds"] == [0.2, 0.2] and job["parts"] == {"weights": [0.1, 0.1]}
    assert body["machine"] == host.host(2)
    assert capsys.readouterr().out.startswith(body["machine"]["processor"])


def test_processes_answer_in_turn_and_a_failing_one_is_reported(tmp_path, monkeypatch):
    (tmp_path / "echoing.py").write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    assert line != 'die\\n', 'as requested'\n"
        "    print(json.dumps(line), flush=True)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        processes.BenchmarkProcess("echoing", cores=1) as first,
        processes.BenchmarkProcess("echoing", "b", cores=1) as second,
    ):
        assert [player.request(word) for word in ("x", "y") for player in (first, second)] == [
            "x\n",
            "x\n",
            "y\n",
            "y\n",
        ]
        with pytest.raises(
            processes.BenchmarkFailed, match=r"echoing b: exit status 1\n(?s:.*)AssertionError: as requested"
        ):
            second.request("die")


def test_clips_are_the_same_work_for_all():
    """What is timed side by side must be one computation: spectrograms agree, and so do waveforms' spectrograms."""
    ours, theirs, librosa = clips.torch_tasks(), clips.tensorflow_tasks(), clips.librosa_tasks()
    images = [np.asarray(task["spectrogram"]()) for task in (ours, theirs)]
    np.testing.assert_allclose(images[0].squeeze(1), images[1].squeeze(-1), atol=1e-4)
    referee = np.swapaxes(librosa["spectrogram"](), 1, 2)
    np.testing.assert_allclose(images[0].squeeze(1), referee, atol=1e-4)
    assert {np.asarray(tasks["waveform"]()).shape[0] for tasks in (ours, theirs, librosa)} == {clips.COUNT}
