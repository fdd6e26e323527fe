"""Checkpoints come back bit for bit or are rejected; no kill or full disk costs the last good one."""

from __future__ import annotations

import errno
import itertools
import json
import os
import resource
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from shared_impl import files
from shared_impl.config.differences import differences
from shared_impl.config.presets import load as load_config
from shared_impl.storage import checkpoints
from shared_impl.storage.checkpoints import MANIFEST, TENSORS, CheckpointError, latest, load, prune, save, stored

CONFIG = {"model": {"dim": 8}, "training": {"steps": 10, "seed": 0}, "runs": {"keep": 3}}
MADE = {"config": CONFIG, "framework": "torch", "stream": {"epoch": 2, "next": 7}}
MARK = np.arange(4000, dtype=np.float64)


def state(mark: float) -> dict[str, np.ndarray]:
    return {"weights": MARK + mark, "step": np.array(mark)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.array(7),
        np.zeros((0, 3), np.float32),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(12, dtype=np.float32)[::-2],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([1, 256], dtype=">i4"),
        np.array([np.nan, -0.0, np.inf, 5e-324]),
        np.array([2**63 - 1, -(2**63)]),
        np.array([True, False]),
        np.float16([1.5, 65504]),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_an_array_comes_back_bit_for_bit(array, tmp_path):
    got = load(save(tmp_path, 1, {"a": array}, MADE)).arrays["a"]
    assert (got.shape, got.dtype) == (array.shape, array.dtype.newbyteorder("="))
    assert got.tobytes() == array.astype(got.dtype).tobytes()


def test_the_manifest_comes_back_with_schema_step_versions_and_checksum(tmp_path):
    path = save(tmp_path / "checkpoints", 500, state(1), {**MADE, "extra": (1, {2: None})}, value=0.25)
    assert names(tmp_path / "checkpoints") == ["step-00000500"]
    assert names(path) == [MANIFEST, TENSORS]
    checkpoint = load(path, config=CONFIG, framework="torch")
    assert checkpoint.step == 500
    manifest = checkpoint.manifest
    assert manifest["stream"] == MADE["stream"]
    assert manifest["extra"] == [1, {"2": None}]
    assert manifest["value"] == 0.25
    assert {"python", "numpy", "torch"} <= manifest["versions"].keys()


def test_a_configuration_of_the_schema_is_stored_and_recognised(tmp_path):
    config = load_config("dcgan_tiny")
    path = save(tmp_path, 1, state(1), {"config": config, "framework": "torch"})
    load(path, config=load_config("dcgan_tiny", ["training.steps=7", "runs.keep=9", "data.workers=2"]))
    with pytest.raises(
        CheckpointError, match=r"another configuration: model.ngf: got 8, expected 4; optimizer.lr: got"
    ):
        load(path, config=load_config("dcgan_tiny", ["model.ngf=4", "optimizer.lr=1.0"]))


def test_what_cannot_be_stored_is_rejected_by_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"array 'a': dtype object cannot be stored; valid: float64, float32"):
        save(tmp_path, 1, {"a": np.array([None])}, MADE)
    assert latest(tmp_path) is None


def edit(path: Path, change) -> None:
    """Change the manifest and seal it anew, as a program of another version would have written it."""
    manifest = json.loads((path / MANIFEST).read_text())
    del manifest["seal"]
    change(manifest)
    (path / MANIFEST).write_text(json.dumps({**manifest, "seal": checkpoints._seal(manifest)}))


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


FAULTS = {
    "truncated": (
        lambda p: os.truncate(p / TENSORS, 900),
        r"state.safetensors: truncated: got 900 bytes, expected 32,",
    ),
    "one bit": (lambda p: flip(p / TENSORS), r"state.safetensors: damaged: its checksum is not the manifest's"),
    "no arrays": (lambda p: (p / TENSORS).unlink(), r"state.safetensors: cannot be read: .*No such file"),
    "manifest bit": (
        lambda p: (p / MANIFEST).write_text((p / MANIFEST).read_text().replace('"next": 7', '"next": 8')),
        r"manifest.json: damaged or edited: its content does not fit its seal",
    ),
    "manifest cut": (lambda p: os.truncate(p / MANIFEST, 100), r"manifest.json: damaged: "),
    "manifest list": (lambda p: (p / MANIFEST).write_text("[]"), r"manifest.json: damaged: "),
    "no manifest": (lambda p: (p / MANIFEST).unlink(), r"no checkpoint: it holds no manifest.json"),
    "schema": (lambda p: edit(p, lambda m: m.update(schema="other/9")), r"got schema 'other/9', expected 'parity-ch"),
    "no schema": (lambda p: (p / MANIFEST).write_text("{}"), r"got schema None, expected 'parity-checkpoint/1'"),
    "framework": (
        lambda p: edit(p, lambda m: m.update(framework="tensorflow")),
        r"another framework: got tensorflow, expected torch; carry it over with `parity convert`",
    ),
    "config": (
        lambda p: edit(p, lambda m: m["config"].update(model={"nz": 2})),
        r"another configuration: model.dim: got nothing, expected 8; model.nz: got 2, expected nothing. Resume",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_checkpoint_is_rejected_in_one_line_that_names_the_one_before(fault, tmp_path):
    harm, message = FAULTS[fault]
    save(tmp_path, 1, state(1), MADE)
    path = save(tmp_path, 2, state(2), MADE)
    load(path, config=CONFIG, framework="torch")
    harm(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path, config=CONFIG, framework="torch")
    assert "\n" not in str(caught.value)
    if fault not in ("schema", "no schema", "framework", "config"):
        assert str(caught.value).endswith(f"the last sound one is {tmp_path / 'step-00000001'}")


def test_a_damaged_checkpoint_of_a_run_names_the_command_that_goes_on_from_the_last_sound_one(tmp_path):
    folder = tmp_path / "my run" / "checkpoints"
    paths = [save(folder, step, state(step), MADE) for step in (1, 2, 3)]
    for path in paths[1:]:
        os.truncate(path / TENSORS, 100)
    with pytest.raises(CheckpointError) as caught:
        load(paths[2])
    command = f"python -m torch_impl train '{tmp_path}/my run' --resume --from 1"
    assert str(caught.value).endswith(f"; the last sound one is {paths[0]}: go on from there with: {command}")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_umask_decides_who_may_read_a_checkpoint(mask, tmp_path):
    before = os.umask(mask)
    try:
        path = save(tmp_path, 1, state(1), MADE)
    finally:
        os.umask(before)
    assert {file.name: file.stat().st_mode & 0o777 for file in path.iterdir()} == dict.fromkeys(
        (TENSORS, MANIFEST), 0o666 & ~mask
    )


def test_a_pickle_is_not_read(tmp_path):
    path = save(tmp_path, 1, state(1), MADE)
    (path / TENSORS).write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR.")
    tensors = {"bytes": (path / TENSORS).stat().st_size, "sha256": checkpoints._digest(path / TENSORS)}
    edit(path, lambda manifest: manifest.update(tensors=tensors))
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({**CONFIG, "training": {"steps": 99, "seed": 0}, "runs": {"keep": 1, "folder": "x"}}, []),
        ({**CONFIG, "distribution": {"devices": 2}}, []),
        ({**CONFIG, "training": {"epochs": 1, "seed": 1}}, ["training.seed: got 0, expected 1"]),
        ({**CONFIG, "training": {"seed": None}}, ["training.seed: got 0, expected None"]),
    ],
)
def test_only_fields_that_matter_to_the_next_step_are_held_against_a_checkpoint(expected, found):
    assert list(map(str, differences(CONFIG, expected))) == found


def test_the_latest_is_that_of_the_highest_step(tmp_path):
    assert latest(tmp_path / "none") is None
    for step in (900, 123456789, 5):
        save(tmp_path, step, state(step), MADE)
    (tmp_path / "step-999999999999").mkdir()  # no manifest, no checkpoint
    assert list(stored(tmp_path)) == [5, 900, 123456789]
    assert latest(tmp_path) == tmp_path / "step-123456789"


@pytest.mark.parametrize(
    ("values", "keep_best", "kept"),
    [
        ([None, None, None, None], True, [3, 4]),
        ([0.5, 0.1, 0.3, 0.2], True, [2, 3, 4]),
        ([0.5, 0.1, 0.3, 0.2], False, [3, 4]),
        ([0.5, 0.4, 0.3, 0.2], True, [3, 4]),
        ([float("nan"), 0.7, 0.9, float("inf")], True, [2, 3, 4]),
        ([0.1, 0.1, 0.9, 0.9], True, [2, 3, 4]),
    ],
)
def test_the_last_ones_and_the_best_are_kept(values, keep_best, kept, tmp_path):
    for step, value in enumerate(values, start=1):
        save(tmp_path, step, state(step), MADE, value=value)
    prune(tmp_path, 2, keep_best)
    assert list(stored(tmp_path)) == kept
    assert len(names(tmp_path)) == len(kept)


def test_going_back_sets_later_checkpoints_aside(tmp_path):
    for step in (1, 2, 3):
        save(tmp_path, step, state(step), MADE)
    checkpoints.set_aside(tmp_path, 1)
    assert names(tmp_path) == ["step-00000001", "step-00000002.abandoned", "step-00000003.abandoned"]
    save(tmp_path, 2, state(-2), MADE)
    checkpoints.set_aside(tmp_path, 1)
    assert load(tmp_path / "step-00000002.abandoned").arrays["step"] == -2


# ---- kills: a child saves step 1, then `what`, and dies just before its n-th call of one of these
CALLS = ((checkpoints, "save_file"), (files, "sync"), (os, "rename"), (checkpoints.shutil, "rmtree"))


def saves_and_dies(folder: Path, step: int, deadline: int) -> bool:
    """Save in a child process that is killed at its ``deadline``-th call; whether it lived to the end."""
    child = os.fork()
    if child == 0:
        left = [deadline]

        def mortal(call):
            def one_more(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return one_more

        for module, name in CALLS:
            setattr(module, name, mortal(getattr(module, name)))
        save(folder, step, state(20), MADE)
        prune(folder, 1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("step", [2, 1], ids=["a later step", "the same step again"])
def test_a_kill_at_any_moment_leaves_a_good_checkpoint_and_the_next_save_clears_up(step, tmp_path):
    for deadline in range(100):
        folder = tmp_path / str(deadline)
        save(folder, 1, state(10), MADE)
        lived = saves_and_dies(folder, step, deadline)
        got = load(latest(folder)).arrays["step"]
        assert got == 20 if lived else got in (10, 20)
        path = save(folder, 3, state(30), MADE)
        assert load(path).arrays["step"] == 30
        assert {"step-00000003"} <= set(names(folder)) <= {f"step-{n:08d}" for n in (1, 2, 3)}
        if lived:
            break
    assert deadline > 6  # it died at each of them before


def test_a_process_killed_while_saving_over_and_over_leaves_a_good_checkpoint(tmp_path):
    for delay in (0.0, 0.001, 0.003, 0.01, 0.02):
        finished, announce = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                for step in itertools.count(1):
                    save(tmp_path, step, {"a": np.full(200000, float(step))}, {"framework": "torch"})
                    prune(tmp_path, 2)
                    os.write(announce, b".")
            finally:
                os._exit(1)
        os.close(announce)
        for _ in range(2):
            assert os.read(finished, 1) == b"."
        time.sleep(delay)  # to meet another moment of the next save
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(finished)
        checkpoint = load(latest(tmp_path))
        assert (checkpoint.arrays["a"] == checkpoint.step).all()


# ---- disks
@contextmanager
def tiny_disk(folder: Path):
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("mounting a tiny disk needs more rights")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_reported_and_the_last_good_checkpoint_survives(tmp_path):
    with tiny_disk(tmp_path / "disk"):
        folder = tmp_path / "disk" / "checkpoints"
        good = save(folder, 1, state(1), MADE)
        with pytest.raises(CheckpointError) as caught:
            save(folder, 2, {"a": np.zeros(60000)}, MADE)
        assert "step-00000002: cannot be saved: " in str(caught.value)
        assert "No space left on device" in str(caught.value)
        assert "(0.5 MB are needed, 0.2 MB are free)" in str(caught.value)
        assert f"the last good checkpoint is {good}" in str(caught.value)
        assert names(folder) == [good.name]
        assert load(latest(folder)).step == 1
        save(folder, 2, state(2), MADE)


def test_a_file_size_limit_is_no_different(tmp_path):
    good = save(tmp_path, 1, state(1), MADE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"cannot be saved: .*File too large"):
            save(tmp_path, 2, {"a": np.zeros(60000)}, MADE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == [good.name]


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_an_error_that_shows_only_when_the_disk_is_forced_costs_nothing(call, tmp_path, monkeypatch):
    good = save(tmp_path, 1, state(1), MADE)
    calls = []

    def full(path):
        calls.append(path)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(CheckpointError, match=r"cannot be saved: No space left on device"):
        save(tmp_path, 2, state(2), MADE)
    assert load(latest(tmp_path)).path.parent == good.parent
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_the_error_of_a_failed_first_save_says_that_there_is_no_earlier_one(tmp_path):
    (tmp_path / "checkpoints").write_text("a file stands where the folder should be")
    with pytest.raises(CheckpointError, match=r"cannot be saved: Not a directory .* there is no earlier checkpoint"):
        save(tmp_path / "checkpoints", 1, state(1), MADE)


def test_an_interrupted_save_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "sync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 1, state(1), MADE)
    assert names(tmp_path) == []
