"""Whole runs from the command line in both implementations: what they write, how they stop, how they go on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared_impl.cli.main import run
from shared_impl.storage import checkpoints
from shared_impl.storage.metrics_log import TENSORBOARD, WALL_CLOCK
from shared_impl.storage.run_folder import CHECKPOINTS, PREVIEWS, SAMPLES, Run
from tests.implementations.worker_groups import WorkerGroup, run_command, run_command_unheard

IMPLEMENTATIONS = ("tf_impl", "torch_impl")
SMALL = ["training.batch_size=4", "training.precision=float64", "runs.log_every=1", "runs.samples=4", "runs.previews=2"]
DIGITS = ["dcgan_tiny", "model.ngf=2", "model.ndf=2", "model.nz=8", *SMALL]
DRUMS = ["specgan_tiny", "model.dim=1", "model.nz=8", "training.d_updates=2", *SMALL]
LOCKSTEP = 1e-10  # relative; 20 steps of a tiny network stay below 1e-13, see parity's rung "training"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(implementation, *arguments):
    """The exit status of ``python -m implementation ...``, run in this process."""
    module = __import__(f"{implementation}.__main__", fromlist=["implementation"])
    return run(implementation, module.load_framework, arguments)


def start(implementation, *arguments):
    """A process that runs a command line in the current folder."""
    group = WorkerGroup()
    group.start(run_command, implementation, list(arguments), os.getcwd(), folder=Path.cwd(), environment={})
    return group


def metrics(folder=Path("runs/0001-dcgan_tiny")):
    """What was logged, without the fields that depend on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in WALL_CLOCK} for line in lines]


def logs(folder, steps):
    """Whether so many steps are logged."""
    return lambda: (folder / "metrics.jsonl").exists() and len(metrics(folder)) >= steps


def state(folder):
    return checkpoints.load(checkpoints.latest(folder / CHECKPOINTS)).arrays


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_run_of_images_writes_metrics_samples_and_checkpoints(implementation):
    assert (
        command(implementation, "train", *DIGITS, "training.steps=4", "runs.sample_every=2", "runs.checkpoint_every=2")
        == 0
    )
    folder = Path("runs/0001-dcgan_tiny")
    assert [line["step"] for line in metrics()] == [1, 2, 3, 4]
    assert {"d_loss", "g_loss", "d_real", "d_fake"} <= metrics()[0].keys()
    assert sorted(path.name for path in (folder / SAMPLES).iterdir()) == ["step-00000002.png", "step-00000004.png"]
    assert Image.open(folder / SAMPLES / "step-00000004.png").size == (2 * 66 + 2, 2 * 66 + 2)
    assert list(checkpoints.stored(folder / CHECKPOINTS)) == [2, 4]
    assert list((folder / TENSORBOARD).glob("events*"))
    table = Path("runs/experiments.md").read_text()
    assert "dcgan_tiny" in table and "finished at step 4" in table
    assert Run.open(folder).config.training.steps == 4


def test_a_run_of_sound_writes_previews_and_moments(tmp_path):
    for implementation in IMPLEMENTATIONS:
        assert command(implementation, "train", *DRUMS, "training.steps=1", "training.d_updates=1") == 0
    for number in (1, 2):
        folder = Path(f"runs/000{number}-specgan_tiny")
        assert [path.suffix for path in (folder / PREVIEWS).iterdir()] == [".wav"]
        assert (folder / "moments.npz").exists()
    first, second = (metrics(Path(f"runs/000{number}-specgan_tiny")) for number in (1, 2))
    assert first[0]["d_loss"] == pytest.approx(second[0]["d_loss"], rel=LOCKSTEP)


def test_the_same_command_is_the_same_run_in_both_implementations():
    """No weight is copied: configuration, seed and data are all that the two have in common."""
    for implementation in IMPLEMENTATIONS:
        assert command(implementation, "train", *DIGITS, "training.steps=5", "training.ema=0.9") == 0
    first, second = (metrics(Path(f"runs/000{number}-dcgan_tiny")) for number in (1, 2))
    for a, b in zip(first, second, strict=True):
        assert b == pytest.approx(a, rel=LOCKSTEP)
    assert first[0]["d_loss"] != first[1]["d_loss"]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(implementation):
    """All in processes with one thread: with more, sums of two runs may be rounded otherwise."""
    options = [*DIGITS, "training.ema=0.9", "runs.checkpoint_every=3", "runs.sample_every=4"]
    folder = Path("runs/0001-dcgan_tiny")
    killed = start(implementation, "train", *options, "training.steps=100000")
    killed.wait_for(logs(folder, 7), "7 steps")
    killed.kill()
    done = len(metrics(folder))
    for words in (["1", "--resume"], options):
        run_to_its_end = start(implementation, "train", *words, f"training.steps={done + 4}")
        assert run_to_its_end.statuses() == [0], run_to_its_end.last_lines()
    whole = Path("runs/0002-dcgan_tiny")
    assert metrics(folder) == metrics(whole)
    resumed, uninterrupted = state(folder), state(whole)
    assert resumed.keys() == uninterrupted.keys()
    assert [name for name in resumed if not np.array_equal(resumed[name], uninterrupted[name])] == []
    pictures = [sorted(path.name for path in (f / SAMPLES).iterdir()) for f in (folder, whole)]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_ctrl_c_saves_first_and_says_how_to_go_on(implementation):
    folder = Path("runs/0001-dcgan_tiny")
    running = start(implementation, "train", *DIGITS, "training.steps=100000")
    running.wait_for(logs(folder, 3), "3 steps")
    running.signal(0, signal.SIGINT)
    assert running.statuses() == [130]
    message = running.logs[0].read_text(errors="replace")
    last = checkpoints.load(checkpoints.latest(folder / CHECKPOINTS))
    assert last.step == len(metrics(folder)) >= 3
    again = f"python -m {implementation} train {folder} --resume"
    assert f"interrupted: saved at step {last.step} of 100000; go on with: {again}" in message
    assert "stopping after this step, then saving (Ctrl-C again: " in message
    assert "Traceback" not in message
    assert f"interrupted at step {last.step}" in Path("runs/experiments.md").read_text()


def everything(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_run_past_its_new_end_is_left_as_it_is(implementation, capsys):
    words = [*DIGITS, "runs.checkpoint_every=2"]
    assert command(implementation, "train", *words, "training.steps=5") == 0
    before = everything(Path("runs"))
    capsys.readouterr()
    assert command(implementation, "train", "1", "--resume", "training.steps=3") == 0
    printed = capsys.readouterr()
    assert "runs/0001-dcgan_tiny: already past step 3: it is at step 5; nothing was changed" in printed.err
    assert printed.out == ""
    assert everything(Path("runs")) == before
    assert command(implementation, "train", "1", "--resume") == 0
    assert Run.open(Path("runs/0001-dcgan_tiny")).config.training.steps == 5


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_run_ends_with_what_to_do_next(implementation, capsys):
    assert command(implementation, "train", *DIGITS, "training.steps=2") == 0
    printed = capsys.readouterr()
    assert printed.out == "runs/0001-dcgan_tiny\n"
    program = f"python -m {implementation}"
    for words in (
        f"{program} generate runs/0001-dcgan_tiny",
        f"{program} evaluate runs/0001-dcgan_tiny",
        f"{program} train runs/0001-dcgan_tiny --resume training.steps=4",
        "tensorboard --logdir runs/0001-dcgan_tiny/tensorboard",
    ):
        assert words in printed.err
    assert command(implementation, *f"{program} train runs/0001-dcgan_tiny --resume training.steps=4".split()[3:]) == 0
    assert command(implementation, "generate", "runs/0001-dcgan_tiny") == 0


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_pace_and_the_rates_are_logged(implementation):
    words = [*DIGITS, "training.steps=4", "runs.checkpoint_every=2", "optimizer.schedule=linear", "optimizer.lr=0.01"]
    assert command(implementation, "train", *words) == 0
    found = [json.loads(line) for line in Path("runs/0001-dcgan_tiny/metrics.jsonl").read_text().splitlines()]
    assert [line["lr_g"] for line in found] == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
    assert all(line["steps_per_s"] > 0 and 0 <= line["waiting_percent"] <= 100 for line in found)
    assert [line["sec_per_kimg"] * line["steps_per_s"] * 4 for line in found] == pytest.approx([1000] * 4)
    values = [
        checkpoints.read_manifest(path)["value"]
        for path in checkpoints.stored(Path("runs/0001-dcgan_tiny/checkpoints")).values()
    ]
    assert [line.get("best") for line in found] == [None, None, values[0], values[0]]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_run_goes_back_to_a_checkpoint_of_its_own_and_may_change_its_rate_there(implementation, capsys):
    words = [*DIGITS, "runs.checkpoint_every=2", "runs.keep=9"]
    assert command(implementation, "train", *words, "training.steps=6") == 0
    folder = Path("runs/0001-dcgan_tiny")
    whole = state(folder)
    damaged = folder / CHECKPOINTS / "step-00000006" / "state.safetensors"
    os.truncate(damaged, 100)
    capsys.readouterr()
    assert command(implementation, "train", "1", "--resume") == 2
    message = capsys.readouterr().err
    advice = f"python -m {implementation} train {folder} --resume --from 4"
    assert advice in message
    assert command(implementation, *advice.split()[3:]) == 0
    assert all(np.array_equal(whole[name], array) for name, array in state(folder).items())
    assert command(implementation, "train", str(folder / CHECKPOINTS / "step-00000002"), "--resume") == 0
    assert all(np.array_equal(whole[name], array) for name, array in state(folder).items())
    assert command(implementation, "train", "1", "--from", "4", "optimizer.lr=0.001") == 0
    assert not all(np.array_equal(whole[name], array) for name, array in state(folder).items())
    assert Run.open(folder).config.optimizer.lr == 0.001
    capsys.readouterr()
    assert command(implementation, "train", "1", "--from", "3") == 2
    assert "no checkpoint '3': expected latest, best or a step; there are 2, 4, 6" in capsys.readouterr().err
    assert command(implementation, "train", "1", "--from", "4", "model.ngf=4") == 2
    assert "model.ngf" in capsys.readouterr().err


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_run_without_progress_ends_early_the_same_if_it_was_interrupted(implementation, capsys):
    """A rate of zero: no checkpoint is better than the first."""
    still = [*DIGITS, "optimizer.lr=1e-30", "runs.checkpoint_every=2", "runs.patience=4", "runs.keep=9"]
    assert command(implementation, "train", *still, "training.steps=50", "runs.monitor=d_loss") == 0
    first = Path("runs/0001-dcgan_tiny")
    ended = checkpoints.read_manifest(checkpoints.latest(first / CHECKPOINTS))
    assert ended["step"] == ended["best"]["step"] + 4 < 50
    printed = capsys.readouterr().err
    assert f"ended early at step {ended['step']}: d_loss has not been below" in printed
    assert "finished at step" in Path("runs/experiments.md").read_text()
    assert command(implementation, "train", "1", "--resume") == 0
    assert "nothing was changed. Train on with a larger runs.patience" in capsys.readouterr().err
    assert command(implementation, "train", *still, "training.steps=3", "runs.monitor=d_loss") == 0
    assert command(implementation, "train", "2", "--resume", "training.steps=50") == 0
    resumed = checkpoints.read_manifest(checkpoints.latest(Path("runs/0002-dcgan_tiny") / CHECKPOINTS))
    assert resumed["best"]["quantity"] == "d_loss"


def test_what_is_watched_must_be_a_metric(capsys):
    assert command("torch_impl", "train", *DIGITS, "training.steps=2", "runs.monitor=fid") == 2
    assert "runs.monitor=fid: no such metric; this run has sample_distance, d_loss" in capsys.readouterr().err


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_reader_that_has_left_and_a_hang_up_cost_no_run(implementation):
    folder = Path("runs/0001-dcgan_tiny")
    running = WorkerGroup()
    words = ["train", *DIGITS, "training.steps=100000"]
    running.start(run_command_unheard, implementation, words, os.getcwd(), folder=Path.cwd(), environment={})
    running.wait_for(logs(folder, 3), "3 steps")
    running.signal(0, signal.SIGHUP)
    assert running.statuses() == [130]
    assert checkpoints.load(checkpoints.latest(folder / CHECKPOINTS)).step == len(metrics(folder)) >= 3
    assert "interrupted at step" in Path("runs/experiments.md").read_text()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_diverging_run_stops_and_keeps_the_last_good_checkpoint(implementation, capsys):
    wild = ["loss.kind=lsgan", "optimizer.lr=1e200", "runs.checkpoint_every=1"]
    assert command(implementation, "train", *DIGITS, *wild, "training.steps=9") == 1
    message = capsys.readouterr().err
    folder = Path("runs/0001-dcgan_tiny")
    back = f"python -m {implementation} train {folder} --resume --from "
    assert "diverged" in message and (back in message or not checkpoints.stored(folder / CHECKPOINTS))
    assert all(
        np.isfinite(array).all()
        for path in (folder / CHECKPOINTS).iterdir()
        for array in checkpoints.load(path).arrays.values()
    )
    assert "diverged at step" in Path("runs/experiments.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "dcgan_digit"], "unknown preset 'dcgan_digit', did you mean dcgan_digits?"),
        (["train", *DIGITS, "training.batch_size=4000"], "fewer examples than one batch"),
        (["train", *DIGITS, "runs.folder=/proc/nothing"], "runs.folder=/proc/nothing: cannot be written"),
        (["train", *DIGITS, "data.source=images:nowhere"], "nowhere: no such folder"),
        (["train", *DIGITS, "data.moments=nothing.npz", "data.source=drums"], "data.source=drums gives audio data"),
        (["train", *DRUMS, "data.moments=nothing.npz"], "nothing.npz: no such file"),
        (["train", "1", "--resume"], "no run '1' in runs"),
        (["generate", "dcgan_tiny"], "no run 'dcgan_tiny' in runs"),
        (["moments", "dcgan_tiny"], "dcgan learns from images"),
        (["train"], "Missing argument 'PRESET'"),
        (["trian", "dcgan"], "No such command 'trian'"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_status_2(arguments, message, capsys):
    assert command("torch_impl", *arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.startswith("torch_impl: ") and printed.count("\n") == 1
    assert (
        not Path("runs").exists() or not list(Path("runs").glob("0*")) or "moments" in message or "nothing" in message
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of digits in torch, and one of them with a NaN in its last checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert command("torch_impl", "train", *DIGITS, "training.steps=2", "runs.checkpoint_every=1") == 0
    finally:
        os.chdir(before)
    return folder / "runs/0001-dcgan_tiny"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0-1000000000"], "seeds '0-1000000000': more than 100,000: generate them in several commands"),
        (["--seeds", "0,1,2-100000"], "more than 100,000"),
        (["--seeds", "1" + "0" * 20], f"the largest seed is {2**63 - 1}"),
        (["--seeds", "9" * 5000], f"the largest seed is {2**63 - 1}"),
        (["--seeds", ""], "expected numbers and spans"),
        (["--seeds", "²"], "expected numbers and spans"),
        (["--interpolate", "0"], "Invalid value for '--interpolate'"),
        (["--interpolate", "1000000"], "interpolation between 16 seeds, 1000000 images a leg: 15,000,000 samples"),
        (["--columns", "0"], "Invalid value for '--columns'"),
        (["--iterations", "1000000000"], "Invalid value for '--iterations'"),
        (["--out", "/proc/nothing/here"], "cannot be written: "),
        (["--out", "/dev/null/here"], "cannot be written: Not a directory; name a folder"),
        (["--checkpoint", "9" * 5000], "no checkpoint"),
        (["--classes", "1"], "has no classes"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_samples_that_cannot_be_made_are_one_line(arguments, message, trained, capsys):
    assert command("torch_impl", "generate", str(trained), *arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and len(printed.err) < 6000
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--json", "/proc/nothing/x.json"],
            "--json /proc/nothing/x.json: cannot be written: name a file",
        ),
        (["--json", "."], "--json .: cannot be written"),
        (["--samples", "100000000"], "Invalid value for '--samples'"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
        (["--seed", str(10**20)], "Invalid value for '--seed'"),
    ],
)
def test_figures_that_cannot_be_made_are_one_line(arguments, message, trained, capsys):
    assert command("torch_impl", "evaluate", str(trained), *arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1


def test_a_disk_that_fills_up_is_one_line(trained, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shared_impl.sampling.pictures.save_png", full)
    assert command("torch_impl", "generate", str(trained), "--out", str(tmp_path)) == 2
    assert f"{tmp_path}: cannot be written: No space left on device; name a folder" in capsys.readouterr().err


def test_what_a_damaged_generator_makes_is_warned_about(trained, tmp_path, capsys):
    run = shutil.copytree(trained, tmp_path / "copy")
    last = checkpoints.load(run / CHECKPOINTS / "step-00000002")
    name = next(name for name, array in last.arrays.items() if name.startswith("generator/") and array.size > 3)
    last.arrays[name].flat[:3] = np.nan
    manifest = {key: last.manifest[key] for key in ("config", "framework", "stream", "steps")}
    checkpoints.save(run / CHECKPOINTS, 2, last.arrays, manifest)
    assert command("torch_impl", "generate", str(run), "--seeds", "0-1") == 0
    said = capsys.readouterr().err
    assert f"{run}/checkpoints/step-00000002: 3 of the generator's weights are NaN or infinite, in 1 of" in said
    assert f"{run}/checkpoints/step-00000001 holds none" in said and said.count("\n") == 1
    assert command("torch_impl", "generate", str(run), "--seeds", "0-1", "--checkpoint", "1") == 0
    assert capsys.readouterr().err == ""


def test_a_preset_is_the_latest_run_of_ones_own_framework(capsys):
    for implementation in IMPLEMENTATIONS:
        assert command(implementation, "train", *DIGITS, "training.steps=1") == 0
    capsys.readouterr()
    assert command("tf_impl", "generate", "dcgan_tiny", "--seeds", "0") == 0
    printed = capsys.readouterr()
    assert "runs/0001-dcgan_tiny is the latest of tensorflow; runs/0002-dcgan_tiny is of torch" in printed.err
    assert "runs/0001-dcgan_tiny/generated" in printed.out
    shutil.rmtree("runs/0001-dcgan_tiny")
    assert command("tf_impl", "generate", "dcgan_tiny", "--seeds", "0") == 2
    assert "parity convert" in capsys.readouterr().err


def test_a_run_goes_on_from_within_its_folder(monkeypatch, capsys):
    assert command("torch_impl", "train", *DIGITS, "training.steps=1") == 0
    monkeypatch.chdir(Path("runs/0001-dcgan_tiny").rename("runs/my best"))
    assert command("torch_impl", "train", ".", "--resume", "training.steps=2") == 0
    assert command("torch_impl", "generate", ".", "--seeds", "0") == 0
    assert "Traceback" not in capsys.readouterr().err
    assert "finished at step 2" in Path("../experiments.md").read_text()


def test_a_run_that_is_stopped_before_its_first_step_is_not_logged_as_running(capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    for place in ("session.Session.moments", "progress.Progress.__enter__"):
        with monkeypatch.context() as patched:
            patched.setattr(f"shared_impl.training.{place}", stop)
            assert command("torch_impl", "train", *DIGITS, "training.steps=1") == 130
    rows = [line for line in Path("runs/experiments.md").read_text().splitlines() if "dcgan_tiny" in line]
    assert len(rows) == 2 and all("interrupted at step 0" in row for row in rows)


@pytest.mark.parametrize(("own", "used"), [(None, "passive"), ("active", "active")])
def test_threads_of_torch_wait_without_spinning_unless_asked_to(own, used, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if own:
        monkeypatch.setenv("OMP_WAIT_POLICY", own)
    __import__("torch_impl.__main__", fromlist=["load_framework"]).load_framework()
    assert os.environ["OMP_WAIT_POLICY"] == used


def test_a_home_of_nobody_is_one_line(capsys):
    assert command("torch_impl", "train", *DRUMS, "data.source=audio:~nobody_here/x") == 2
    assert "~nobody_here/x: no such folder" in capsys.readouterr().err


def test_resuming_with_another_configuration_is_rejected(capsys):
    assert command("torch_impl", "train", *DIGITS, "training.steps=2") == 0
    assert command("torch_impl", "train", "dcgan_tiny", "optimizer.lr=0.5", "--resume") == 2
    assert "made with another configuration: optimizer.lr: got 0.0002, expected 0.5" in capsys.readouterr().err
    assert command("tf_impl", "train", "1", "--resume") == 2
    assert "parity convert" in capsys.readouterr().err


def test_unlikely_combinations_are_warned_about(capsys):
    assert command("torch_impl", "train", *DIGITS, "training.steps=1", "loss.kind=wgan-gp") == 0
    assert "wgan-gp with batch norm in the critic" in capsys.readouterr().err


def test_merged_moments_of_shards_equal_those_of_the_whole(capsys):
    measuring = ["moments", "specgan_tiny"]
    for number in (0, 1):
        assert command("torch_impl", *measuring, "--shard", f"{number}/2", "--out", f"{number}.npz") == 0
    assert command("torch_impl", *measuring, "--merge", "0.npz", "--merge", "1.npz", "--out", "both.npz") == 0
    assert command("tf_impl", "moments", "specgan_tiny", "--out", "all.npz") == 0
    with np.load("both.npz") as both, np.load("all.npz") as whole:
        for name in ("mean", "variance"):
            np.testing.assert_allclose(both[name], whole[name], rtol=LOCKSTEP)
    assert command("torch_impl", "train", *DRUMS, "training.steps=1", "data.moments=0.npz") == 2
    assert "holds shards" in capsys.readouterr().err
    assert command("torch_impl", "train", *DRUMS, "training.steps=1", "data.moments=both.npz") == 0
    assert command("torch_impl", "train", *DRUMS, "training.steps=1", "data.moments=both.npz", "data.overlap=0.5") == 2
    assert "measured with other settings" in capsys.readouterr().err


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_profile_holds_the_convolutions_of_some_steps(implementation):
    assert command(implementation, "train", *DIGITS, "training.steps=6", "--profile", "2") == 0
    events = json.loads(Path("runs/0001-dcgan_tiny/profile/trace.json").read_text())["traceEvents"]
    spans = [event for event in events if event.get("ph") == "X"]
    assert any("conv" in event["name"].lower() for event in spans)
    assert all(event["dur"] >= 0 and event["ts"] > 0 for event in spans)
    assert command(implementation, "train", *DIGITS, "training.steps=1") == 0
    assert not Path("runs/0002-dcgan_tiny/profile").exists()


@pytest.mark.slow
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_compiled_training_equals_uncompiled_training(implementation):
    words = [*DIGITS, "training.steps=2", "loss.kind=wgan-gp", "training.reuse_fakes=false"]
    for compiled in ("false", "true"):
        assert command(implementation, "train", *words, f"training.compile={compiled}") == 0
    first, second = (metrics(Path(f"runs/000{number}-dcgan_tiny")) for number in (1, 2))
    for a, b in zip(first, second, strict=True):
        assert b == pytest.approx(a, rel=LOCKSTEP)
