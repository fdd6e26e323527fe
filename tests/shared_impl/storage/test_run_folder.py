"""Run folders: numbered, resumed exactly where they stopped, rejected if they cannot be written, found again."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from shared_impl import files
from shared_impl.config import presets
from shared_impl.config.presets import ConfigError
from shared_impl.storage import checkpoints, experiments, metrics_log
from shared_impl.storage.checkpoints import CheckpointError
from shared_impl.storage.find_run import checkpoint_in, find_checkpoint, find_run, runs
from shared_impl.storage.run_folder import Run, RunError

ROOT = Path(__file__).resolve().parents[3]
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)
CLIPS = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 2000)).astype(np.float32)


def settings(folder: Path, *overrides: str) -> presets.Config:
    return presets.load("dcgan_tiny", [f"runs.folder={folder}", "runs.tensorboard=false", "runs.keep=2", *overrides])


def create(folder: Path, *overrides: str, preset: str = "dcgan_tiny") -> Run:
    return Run.create(settings(folder, *overrides), preset, "torch", hardware="abacus")


def train(run: Run, first: int, last: int) -> None:
    for step in range(first, last + 1):
        run.log(step, {"g_loss": 1 / step, "d_loss": np.float32(step)})
        if step % 2 == 0:
            run.checkpoint(step, {"a": np.full(3, step)}, {"stream": {"next": step}}, value=abs(step - 4))
            run.pictures(step, IMAGES)
            run.preview(step, CLIPS, 16000)


def lines(run: Run) -> list[dict]:
    return [
        {name: value for name, value in json.loads(line).items() if name not in metrics_log.WALL_CLOCK}
        for line in (run.path / metrics_log.METRICS).read_text().splitlines()
    ]


def contents(run: Run) -> dict[str, bytes]:
    parts = ("samples/*", "previews/*", "checkpoints/step-????????/*")
    return {str(p.relative_to(run.path)): p.read_bytes() for part in parts for p in sorted(run.path.glob(part))}


def test_a_run_folder_holds_everything_and_is_numbered(tmp_path):
    run = create(tmp_path / "deep" / "runs", "training.steps=4")
    train(run, 1, 4)
    run.finish("finished")
    assert run.path == tmp_path / "deep" / "runs" / "0001-dcgan_tiny"
    assert {path.name for path in run.path.iterdir() if path.name[0] != "."} == {
        *("config.yaml", "run.json", "metrics.jsonl", "samples", "previews", "checkpoints")
    }
    assert create(tmp_path / "deep" / "runs", preset="odd/näme x.yaml").path.name == "0002-näme-x"
    assert Image.open(run.path / "samples" / "step-00000004.png").size == (2 + 2 * 10, 2 + 2 * 10)
    sound, rate = soundfile.read(run.path / "previews" / "step-00000004.wav")
    assert (len(sound), rate) == (2 * 2000 + 8192, 16000)
    checkpoint = checkpoints.load(run.checkpoints / "step-00000004", config=run.config, framework="torch")
    assert checkpoint.manifest["stream"] == {"next": 4}
    assert [line["step"] for line in lines(run)] == [1, 2, 3, 4]


@pytest.mark.parametrize("preset", [*presets.presets()])
def test_the_recorded_configuration_loads_to_itself(preset, tmp_path):
    given = presets.load(preset, [f"runs.folder={tmp_path}", "training.ema=0.99", "optimizer.clip_norm=1"])
    run = Run.create(given, preset, "tensorflow")
    assert presets.load(run.path / "config.yaml") == given
    again = Run.open(run.path)
    assert (again.config, again.framework, again.number) == (given, "tensorflow", 1)
    run.finish("finished")


def test_a_resumed_run_equals_one_that_was_never_interrupted(tmp_path):
    whole, broken = create(tmp_path / "a"), create(tmp_path / "b")
    train(whole, 1, 9)
    train(broken, 1, 7)  # killed: no finish; the checkpoint of step 6 is the last
    with (broken.path / metrics_log.METRICS).open("a") as file:
        file.write('{"step": 8, "g_lo')
    for half in ("config.yaml", "samples/step-00000008.png", "previews/step-00000008.wav"):
        path = broken.path / half
        path.with_name(f"{files.PARTIAL}77-{path.name}").touch()
    checkpoint = checkpoints.load(checkpoint_in(broken.path))
    assert checkpoint.step == 6
    broken._lock.close()
    taken_up = Run.open(broken.path).resume(checkpoint.step)
    assert lines(taken_up) == lines(whole)[:6]
    train(taken_up, 7, 9)
    assert lines(taken_up) == lines(whole)
    ours, theirs = contents(taken_up), contents(whole)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name] and "manifest" not in name] == []


def test_going_back_takes_back_what_came_later(tmp_path):
    run = create(tmp_path)
    train(run, 1, 6)
    run.finish("finished")
    run = Run.open(run.path).resume(4)
    assert [line["step"] for line in lines(run)] == [1, 2, 3, 4]
    assert sorted(path.name for path in run.path.glob("samples/*")) == ["step-00000002.png", "step-00000004.png"]
    assert sorted(path.name for path in run.path.glob("previews/*")) == ["step-00000002.wav", "step-00000004.wav"]
    assert list(checkpoints.stored(run.checkpoints)) == [4]
    assert (run.checkpoints / "step-00000006.abandoned").is_dir()


def test_seconds_go_on_where_they_stopped(tmp_path):
    run = create(tmp_path)
    line = {"step": 1, "g_loss": 1.0, metrics_log.SECONDS: 1000.5}
    (run.path / metrics_log.METRICS).write_text(json.dumps(line) + "\n")
    run.finish("interrupted")
    run = Run.open(run.path).resume(1)
    assert 1000.5 <= run.seconds < 1060
    run.finish("finished")
    assert re.fullmatch(r"0:16:4\d|0:17:\d\d", experiments.read(tmp_path)[0]["time"])


def test_a_changed_configuration_is_recorded_when_a_run_goes_on(tmp_path):
    run = create(tmp_path)
    run.finish("interrupted")
    longer = settings(tmp_path, "training.steps=99")
    Run.open(run.path).resume(0, longer).finish("finished")
    assert Run.open(run.path).config == longer
    assert Run.open(run.path).about["changes"] == experiments.read(tmp_path)[0]["notes"].partition("; ")[2]


def test_overrides_in_the_log_are_those_of_the_last_resumption(tmp_path):
    def notes() -> str:
        return experiments.read(tmp_path)[0]["notes"]

    run = Run.create(settings(tmp_path, "training.steps=50", "model.nz=8"), "dcgan_tiny", "torch")
    run.finish("interrupted")
    assert notes() == "interrupted at step 0; model.nz=8 training.steps=50"
    table = tmp_path / experiments.TABLE
    table.write_text(table.read_text().replace("steps=50", "steps=50; my best"))
    Run.open(run.path).resume(0, settings(tmp_path, "training.steps=99", "model.nz=8")).finish("finished")
    assert notes() == "finished at step 0; model.nz=8 training.steps=99; my best"
    assert "steps=50" not in (tmp_path / experiments.PAGE).read_text()
    Run.open(run.path).resume(0).finish("finished")
    assert notes() == "finished at step 0; model.nz=8 training.steps=99; my best"


def test_best_and_last_checkpoints_are_kept(tmp_path):
    run = create(tmp_path)
    train(run, 1, 10)  # step 4 has the lowest value
    assert list(checkpoints.stored(run.checkpoints)) == [4, 8, 10]
    assert checkpoints.best(run.checkpoints) == run.checkpoints / "step-00000004"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_not_finite_is_null(value, tmp_path):
    run = create(tmp_path)
    run.log(1, {"g_loss": value, "d_loss": 1})
    assert lines(run) == [{"step": 1, "g_loss": None, "d_loss": 1.0}]
    run.finish("diverged", "g_loss is nan; so")
    (row,) = experiments.read(tmp_path)
    assert (row["final G loss"], row["final D loss"], row["notes"]) == (
        "nan",
        "1",
        "diverged at step 1 (g_loss is nan, so)",
    )


# ---- two at once
def test_runs_that_start_at_once_get_numbers_of_their_own(tmp_path):
    code = (
        "import sys\nfrom shared_impl.config.presets import load\nfrom shared_impl.storage.run_folder import Run\n"
        "config = load('dcgan_tiny', [f'runs.folder={sys.argv[1]}', 'runs.tensorboard=false'])\n"
        "for _ in range(5): Run.create(config, sys.argv[2], 'torch').finish('finished')\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen([*arguments, name], cwd=ROOT) for name in ("one", "two", "three")]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert [run.number for run in runs(tmp_path)] == list(range(1, 16))
    rows = experiments.read(tmp_path)
    assert [row[experiments.NUMBER] for row in rows] == [str(number) for number in range(1, 16)]
    assert sorted({row["config"] for row in rows}) == ["one", "three", "two"]


def test_a_run_that_another_process_is_training_is_not_resumed_until_it_dies(tmp_path):
    code = (
        "import sys\nfrom shared_impl.config.presets import load\nfrom shared_impl.storage.run_folder import Run\n"
        "config = load('dcgan_tiny', [f'runs.folder={sys.argv[1]}', 'runs.tensorboard=false'])\n"
        "run = Run.create(config, 'x', 'torch')\n"
        "print('ready', flush=True)\nsys.stdin.read()\n"  # until it is killed
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    run = Run.open(find_run("1", tmp_path))
    with pytest.raises(RunError, match=r"0001-x: another process is training here: wait for it or end it"):
        run.resume(0)
    process.kill()
    process.wait()
    process.stdout.close()
    run.resume(0).log(1, {"g_loss": 1})


# ---- folders and disks that refuse
def test_a_folder_that_cannot_be_written_is_rejected_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"runs.folder=.*file/runs: cannot be written: Not a directory; set runs.folder"
    ):
        create(tmp_path / "file" / "runs")
    with pytest.raises(ConfigError, match=r"runs.folder=/proc/runs: cannot be written: No such file or directory"):
        create(Path("/proc/runs"))


def test_a_run_that_cannot_begin_leaves_no_folder(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "verb",
    [
        lambda run: run.pictures(5, IMAGES),
        lambda run: run.preview(5, CLIPS, 16000),
        lambda run: run.checkpoint(5, {}, {}),
    ],
    ids=["pictures", "preview", "checkpoint"],
)
def test_the_error_of_a_full_disk_names_the_last_good_checkpoint(verb, tmp_path, monkeypatch):
    run = create(tmp_path)
    message = r"cannot be (written|saved): No space left on device.*; {}"
    train(run, 1, 1)

    def full(path):
        raise OSError(28, "No space left on device")

    with (
        monkeypatch.context() as patch,
        pytest.raises((RunError, CheckpointError), match=message.format("there is no ")),
    ):
        patch.setattr(files, "sync", full)
        verb(run)
    train(run, 2, 4)
    with (
        monkeypatch.context() as patch,
        pytest.raises((RunError, CheckpointError), match=message.format("the last good")),
    ):
        patch.setattr(files, "sync", full)
        verb(run)
    assert list(checkpoints.stored(run.checkpoints)) == [2, 4]
    assert not list(run.path.glob("*/.*"))


def test_metrics_that_cannot_be_written_raise_and_the_run_still_closes(tmp_path):
    run = create(tmp_path)
    train(run, 1, 2)
    size = (run.path / metrics_log.METRICS).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot be written: File too large; the last good .*step-00000002: resume"):
            train(run, 3, 5)
        with pytest.warns(UserWarning, match="not up to date: .*File too large"):
            run.finish("failed")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    taken_up = Run.open(run.path).resume(2)
    assert [line["step"] for line in lines(taken_up)] == [1, 2]


def test_a_log_that_cannot_be_written_ends_no_training(tmp_path):
    run = create(tmp_path)
    (tmp_path / experiments.TABLE).write_text("no,such,table\n1,2,3\n")
    with pytest.warns(UserWarning, match=r"the experiments log is not up to date: .*no column 'Exp #'"):
        run.checkpoint(1, {"a": np.zeros(1)}, {})
    with pytest.warns(UserWarning, match="not up to date"):
        run.finish("finished")


def test_a_file_that_is_no_log_is_rejected_before_training(tmp_path):
    (tmp_path / experiments.TABLE).write_text("no,such,table\n1,2,3\n")
    with pytest.raises(RunError, match=r"experiments.csv: no column 'Exp #'"):
        create(tmp_path)
    assert list(runs(tmp_path)) == []


def test_a_run_that_is_only_read_is_not_written_to(tmp_path):
    run = create(tmp_path)
    run.finish("finished")
    for verb in (lambda: run.log(1, {}), lambda: Run.open(run.path).pictures(1, IMAGES)):
        with pytest.raises(RunError, match=r"0001-dcgan_tiny: open for reading only: resume it first"):
            verb()


# ---- finding
@pytest.fixture
def shelf(tmp_path):
    for preset in ("digits", "drums", "digits"):
        run = create(tmp_path, preset=preset)
        train(run, 1, 2)
        run.finish("finished")
    (tmp_path / "0009-unborn").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("digits", "0003-digits"),
        ("drums", "0002-drums"),
        ("1", "0001-digits"),
        ("0002", "0002-drums"),
        ("0001-digits", "0001-digits"),
    ],
)
def test_a_word_finds_its_run(word, name, shelf):
    assert find_run(word, shelf) == shelf / name


@pytest.fixture
def mixed(tmp_path):
    """Runs of one preset: 1 and 3 in torch, 2 and 4 in TensorFlow."""
    for framework in ("torch", "tensorflow") * 2:
        run = Run.create(settings(tmp_path), "digits", framework, hardware="abacus")
        train(run, 1, 2)
        run.finish("finished")
    return tmp_path


@pytest.mark.parametrize(
    ("framework", "name", "notes"),
    [
        ("torch", "0003-digits", ["0003-digits is the latest of torch; 0004-digits is of tensorflow"]),
        ("tensorflow", "0004-digits", []),
        ("jax", "0004-digits", []),
        ("", "0004-digits", []),
    ],
)
def test_a_preset_means_the_latest_run_of_ones_own_framework(framework, name, notes, mixed):
    said = []
    assert find_run("digits", mixed, framework, said.append) == mixed / name
    assert [sentence.replace(f"{mixed}/", "") for sentence in said] == notes
    assert find_run("2", mixed, "torch") == mixed / "0002-digits"


def test_a_run_is_known_by_its_content_whatever_its_folder_is_called(mixed, monkeypatch):
    renamed = (mixed / "0003-digits").rename(mixed / "the good one")
    assert find_run("3", mixed) == find_run("the good one", mixed) == find_run("digits", mixed, "torch") == renamed
    assert Run.open(renamed).number == 3
    assert Run.create(settings(mixed), "digits", "torch").path.name == "0005-digits"
    monkeypatch.chdir(renamed)
    for word in (".", str(renamed), "../the good one"):
        run = Run.open(find_run(word, Path("runs")))
        assert (run.number, run.path.resolve()) == (3, renamed)
    run = Run.open(Path()).resume(2)
    run.finish("finished")
    assert run.notes == []
    assert [row["Exp #"] for row in experiments.read(mixed)] == ["1", "2", "3", "4", "5"]


def test_a_copy_gets_a_number_of_its_own_as_it_goes_on(mixed):
    shutil.copytree(mixed / "0003-digits", mixed / "0003-digits copy")
    with pytest.raises(ConfigError, match=r"3 is the number of 0003-digits, 0003-digits copy, copies of one run: give"):
        find_run("3", mixed)
    original = Run.open(mixed / "0003-digits").resume(2)
    assert (original.number, original.notes) == (3, [])
    original.finish("finished")
    copy = Run.open(mixed / "0003-digits copy").resume(2)
    assert copy.number == 5 and "was number 3, as " in copy.notes[0] and "number 5 from now on" in copy.notes[0]
    copy.finish("finished")
    assert Run.open(copy.path).number == 5
    assert [row["Exp #"] for row in experiments.read(mixed)] == ["1", "2", "3", "4", "5"]


def test_a_run_moved_beside_others_leaves_their_lines_in_the_log_alone(mixed, tmp_path_factory):
    stranger = create(tmp_path_factory.mktemp("elsewhere"), preset="drums")
    train(stranger, 1, 2)
    stranger.finish("finished")
    moved = stranger.path.rename(mixed / stranger.path.name)
    before = experiments.read(mixed)
    run = Run.open(moved).resume(2)
    run.finish("finished")
    assert run.number == 5
    assert experiments.read(mixed)[:4] == before


def test_a_renamed_run_of_a_former_version_gets_a_number(mixed):
    about = json.loads((mixed / "0003-digits" / "run.json").read_text())
    (mixed / "0003-digits" / "run.json").write_text(json.dumps({n: v for n, v in about.items() if n != "number"}))
    assert Run.open(mixed / "0003-digits").number == 3
    renamed = (mixed / "0003-digits").rename(mixed / "old")
    run = Run.open(renamed).resume(2)
    run.finish("finished")
    assert run.number == 5 and "had no number" in run.notes[0]


@pytest.mark.parametrize("content", ["{}", '{"preset": 3}', "[]", "\0", '{"preset": "x", "framework": "torch"}'])
def test_a_damaged_description_of_a_run_is_one_line(content, mixed):
    (mixed / "0001-digits" / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json") as caught:
        Run.open(mixed / "0001-digits")
    assert "\n" not in str(caught.value)
    assert find_run("2", mixed) == mixed / "0002-digits"


def test_numbers_that_no_run_has_are_answered_not_converted(mixed):
    for word in ("9" * 5000, "²", "0"):
        with pytest.raises(ConfigError, match="no run"):
            find_run(word, mixed)
        with pytest.raises(ConfigError, match="no checkpoint"):
            find_checkpoint(mixed / "0001-digits", word)


def test_a_path_is_a_run_or_a_checkpoint(shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    assert find_run("0001-digits", Path("elsewhere")) == Path("0001-digits")
    checkpoint = shelf / "0001-digits" / "checkpoints" / "step-00000002"
    assert find_run(str(checkpoint), Path("elsewhere")) == checkpoint
    assert checkpoint_in(checkpoint) == checkpoint_in(shelf / "0001-digits") == checkpoint
    assert Run.open(checkpoint).path == shelf / "0001-digits"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "digts",
            r"no run 'digts' in .*, did you mean digits\?; there are 0001-digits, 0002-drums, 0003-digits. Give a",
        ),
        ("9", r"no run '9' in .*; there are 0001-digits, "),
        ("0009-unborn", r"no run '0009-unborn' in "),
        ("0001-digits/checkpoints", r"no run '0001-digits/checkpoints'"),
    ],
)
def test_a_word_that_finds_nothing_is_answered_with_what_there_is(word, message, shelf):
    with pytest.raises(ConfigError, match=message) as caught:
        find_run(word, shelf)
    assert "\n" not in str(caught.value)


def test_the_error_lists_the_latest_runs_or_says_that_there_is_none(tmp_path):
    with pytest.raises(ConfigError, match="there is none: train one first"):
        find_run("digits", tmp_path / "nowhere")
    for number in range(1, 14):
        (tmp_path / f"{number:04d}-x").mkdir()
        (tmp_path / f"{number:04d}-x" / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"there are 0004-x, .*, 0013-x and 3 earlier ones"):
        find_run("digits", tmp_path)


def test_what_is_no_run_folder_is_rejected(tmp_path):
    with pytest.raises(RunError, match=r"no run folder: its run.json cannot be read"):
        Run.open(tmp_path)
    run = create(tmp_path)
    with pytest.raises(RunError, match=r"0001-dcgan_tiny: no checkpoint yet"):
        checkpoint_in(run.path)
    (run.path / "config.yaml").write_text("model: 3")
    with pytest.raises(ConfigError, match=r"config.yaml: model is 3"):
        Run.open(run.path)


def test_logging_a_step_costs_little(tmp_path):
    run = create(tmp_path, "runs.tensorboard=true")
    start = time.process_time()
    for step in range(1000):
        run.log(step, {"g_loss": 1.0, "d_loss": 1.0})
    assert time.process_time() - start < 0.5  # measured: 0.02 s
