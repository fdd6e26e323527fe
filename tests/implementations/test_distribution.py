"""Many processes, started as users start them: the same run as one, and an end within seconds when one of them dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from parity.systems.conversion import to_keras
from parity.systems.distribution.engines import DDP, Engine, environments
from parity.systems.distribution.unsynchronised import slice_statistics
from shared_impl.cli.main import run
from shared_impl.config.presets import ConfigError, load
from shared_impl.data.sources import open_source
from shared_impl.data.stream import Stream
from shared_impl.draws import Draws
from shared_impl.training.rendezvous import is_listening
from shared_impl.training.replicas import validate_even_split
from tests.implementations.worker_groups import (
    IMPLEMENTATIONS,
    PATIENCE,
    ROOT,
    SMALL,
    Crew,
    await_step,
    crew,
    final,
    logged,
)
from torch_impl.checkpoints import state
from torch_impl.trainer import Trainer

SAME = 1e-10  # relative, of the largest in an array; sums in another order round to 1e-14 here
SECONDS = 20.0  # in which all workers must have ended once one has
RUN = Path("runs/0001-dcgan_tiny")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(implementation, *words):
    """The exit status of ``python -m implementation train ...``, run in this process."""
    return run(implementation, import_module(f"{implementation}.__main__").load_framework, ["train", *words])


def alone(implementation, folder, *words, **environment):
    """One process."""
    done = subprocess.run(
        [sys.executable, "-m", implementation, "train", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stderr


def same(got, expected):
    """Whether two states agree."""
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert np.abs(got[name] - array).max() <= SAME * max(np.abs(array).max(), 1e-30), name


SYNCHRONISED = [*SMALL, "training.steps=4", "training.ema=0.9", "distribution.sync_batchnorm=true"]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_two_processes_train_as_one_does_and_each_goes_on_with_the_others_run(implementation, tmp_path):
    assert command(implementation, *SYNCHRONISED) == 0
    reference = tmp_path / RUN
    assert len(logged(reference)) == 4
    assert crew(implementation, tmp_path, *SYNCHRONISED, "runs.folder=two", "training.steps=2").ended(PATIENCE) == [
        0,
        0,
    ]
    two = tmp_path / "two" / RUN.name
    assert command(implementation, str(two), "--resume", "training.steps=3") == 0
    again = crew(implementation, tmp_path, str(two), "--resume", "training.steps=4")
    assert again.ended(PATIENCE) == [0, 0], [again.told(i) for i in (0, 1)]
    for a, b in zip(logged(reference), logged(two), strict=True):
        assert b == pytest.approx(a, rel=SAME)
    same(final(two), final(reference))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_what_is_saved_is_the_average_of_all_devices_running_statistics(implementation, tmp_path):
    """Without synchronised batch norm each device has its own: as one process that normalises each one's rows alone."""
    words = [*SMALL, "training.steps=2"]
    assert crew(implementation, tmp_path, *words).ended(PATIENCE) == [0, 0]
    config = load(words[0], words[1:])
    trainer = slice_statistics(Trainer(config, 2), 2)
    with Stream(open_source(config.data, config.model), config.training.batch_size, config.training.seed) as batches:
        for step in range(2):
            trainer.step(step, batches)
    saved = final(tmp_path / RUN)
    same(saved if implementation == "tf_impl" else to_keras(saved, config), to_keras(state(trainer), config))


@pytest.mark.parametrize("process", [0, 1])
def test_a_worker_gives_each_of_its_devices_a_part_however_they_are_numbered(process):
    """TensorFlow numbers the devices of several workers on; GPUs are stood in for."""
    from tf_impl.distribution import Replicas

    def distribute(value_fn):
        return [value_fn(SimpleNamespace(replica_id_in_sync_group=2 * process + i)).numpy().tolist() for i in (0, 1)]

    replicas = Replicas(load("dcgan_tiny"))
    replicas.process, replicas.processes, replicas.local = process, 2, 2
    replicas.strategy = SimpleNamespace(experimental_distribute_values_from_function=distribute)
    assert replicas.rows(np.arange(8)) == [[4 * process, 4 * process + 1], [4 * process + 2, 4 * process + 3]]


def test_torchrun_starts_what_this_is_made_for(tmp_path):
    words = [*SYNCHRONISED, "training.accumulation=2"]
    assert command("torch_impl", *words, "runs.folder=one") == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "-m", "torch_impl", "train", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(RUN), "one process tells the folder"
    same(final(tmp_path / RUN), final(tmp_path / "one" / RUN.name))


LONG = [*SMALL, "training.steps=60", "runs.checkpoint_every=10", "runs.sample_every=1000", "training.ema=0.9"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """By implementation, the state of two processes' whole run, made when first asked for."""
    made = {}

    def of(implementation):
        if implementation not in made:
            folder = tmp_path_factory.mktemp(implementation)
            assert crew(implementation, folder, *LONG).ended(PATIENCE) == [0, 0]
            made[implementation] = final(folder / RUN)
        return made[implementation]

    return of


@pytest.mark.parametrize("victim", [0, 1], ids=["chief", "other"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_killed_worker_ends_the_run_which_then_goes_on_to_the_same_result(
    implementation, victim, tmp_path, uninterrupted
):
    workers = crew(implementation, tmp_path, *LONG)
    await_step(workers, tmp_path / RUN, 25)
    workers.processes[victim].send_signal(signal.SIGKILL)
    statuses, other = workers.ended(SECONDS), 1 - victim
    assert statuses[victim] == -signal.SIGKILL and statuses[other] == 1
    assert f"lost worker {victim} of 2" in workers.told(other) and "--resume" in workers.told(other)
    assert "Traceback" not in workers.logs[other].read_text()
    again = crew(implementation, tmp_path, str(RUN), "--resume")
    assert again.ended(PATIENCE) == [0, 0], [again.told(i) for i in (0, 1)]
    for name, array in uninterrupted(implementation).items():
        np.testing.assert_array_equal(final(tmp_path / RUN)[name], array, err_msg=name)


def test_a_thread_of_the_engine_that_is_late_does_not_hold_up_the_end(tmp_path):
    workers = Crew([], [])
    for environment in environments(Engine("torch", DDP, 2, 2)):
        workers.join(["tests.implementations.late_thread"], tmp_path, environment)
    assert workers.ended(PATIENCE) == [0, 0], workers.said()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_ctrl_c_at_any_worker_saves_and_ends_all(implementation, tmp_path):
    workers = crew(implementation, tmp_path, *LONG, "training.steps=100000")
    await_step(workers, tmp_path / RUN, 12)
    workers.processes[1].send_signal(signal.SIGINT)
    assert workers.ended(SECONDS) == [130, 130]
    for worker in (0, 1):
        assert "interrupted: saved at step" in workers.told(worker)
    steps = len(logged(tmp_path / RUN))
    assert command(implementation, str(RUN), "--resume", f"training.steps={steps + 1}") == 0


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_worker_that_stands_still_does_not_hold_up_the_others_for_ever(implementation, tmp_path):
    workers = crew(implementation, tmp_path, *LONG, "training.steps=100000", "distribution.timeout=4")
    await_step(workers, tmp_path / RUN, 5)
    workers.processes[1].send_signal(signal.SIGSTOP)
    try:
        assert workers.processes[0].wait(SECONDS) == 1
    finally:
        workers.end()
    assert "worker 1" in workers.told(0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_worker_with_another_configuration_is_refused(implementation, tmp_path):
    workers = crew(
        implementation, tmp_path, *SMALL, "training.steps=2", own={1: ["training.seed=1", "optimizer.lr=0.5"]}
    )
    assert workers.ended(PATIENCE) == [2, 2]
    for worker in (0, 1):
        told = workers.told(worker)
        assert "worker 1" in told and "training.seed: got 1, expected 0" in told and "optimizer.lr" in told
    assert not (tmp_path / "runs").exists()


def test_a_worker_with_another_program_is_refused(tmp_path):
    copy = tmp_path / "other"
    for part in ("common", "configs", "torch_impl"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "torch_impl" / "losses.py").open("a") as file:
        file.write("# another one\n")
    workers = crew("torch_impl", tmp_path, *SMALL, "training.steps=2", sources={1: copy})
    assert workers.ended(PATIENCE) == [2, 2]
    assert "program: got" in workers.told(0) and "same command, code and packages" in workers.told(1)


ABSENT = [*SMALL, "training.steps=2", "distribution.timeout=3"]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_workers_that_do_not_come_are_named(implementation, tmp_path):
    chief = crew(implementation, tmp_path, *ABSENT, only=[0])
    assert chief.ended(PATIENCE) == [2]
    assert "worker 0 has waited 3 s for" in chief.told(0)
    assert implementation == "torch_impl" or "worker 1 (127.0.0.1:" in chief.told(0)
    other = crew(implementation, tmp_path, *ABSENT, only=[1])
    assert other.ended(PATIENCE) == [2]
    assert "worker 1 cannot reach worker 0 at 127.0.0.1:" in other.told(0)


def test_a_port_that_only_the_call_itself_has_does_not_answer(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = free.getsockname()
    call = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda *asked: call(*asked, source_address=place))
    assert not is_listening(f"127.0.0.1:{place[1]}")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_port_in_use_is_named(implementation, tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        workers = [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]
        cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 0}}
        places = {
            "torch_impl": {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
            "tf_impl": {"TF_CONFIG": json.dumps(cluster)},
        }
        status, told = alone(implementation, tmp_path, *ABSENT, **places[implementation])
    assert status == 2 and f"127.0.0.1:{port}, is in use" in told


@pytest.mark.parametrize(
    ("size", "overrides", "told"),
    [
        (3, [], "use 63 or 66"),
        (128, [], "use 128, or another number"),
        (4, ["training.accumulation=32"], "in portions of accumulation=32: it is what all get together; use 128"),
    ],
)
def test_a_batch_that_cannot_be_split_is_refused_with_what_can(size, overrides, told):
    config = load("specgan", overrides)
    with pytest.raises(ConfigError, match=f"training.batch_size=64 cannot be split evenly over {size} devices"):
        validate_even_split(config, size)
    with pytest.raises(ConfigError, match=told):
        validate_even_split(config, size)
    validate_even_split(config, 1)


CLUSTER = '{"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}}'


@pytest.mark.parametrize(
    ("implementation", "overrides", "environment", "told"),
    [
        ("torch_impl", ["distribution.strategy=one"], {"RANK": "0", "WORLD_SIZE": "2"}, "has started 2 processes"),
        ("torch_impl", ["distribution.strategy=multi_worker"], {}, "torchrun --nproc-per-node N"),
        ("torch_impl", ["distribution.devices=cpu:2"], {}, "torchrun --nproc-per-node 2"),
        ("torch_impl", ["distribution.devices=gpu"], {}, "no GPU here"),
        ("torch_impl", [], {"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR"),
        ("tf_impl", ["distribution.strategy=one"], {"TF_CONFIG": CLUSTER}, "names 2 workers"),
        ("tf_impl", ["distribution.strategy=mirrored"], {"TF_CONFIG": CLUSTER}, "use multi_worker or auto"),
        ("tf_impl", ["distribution.strategy=multi_worker"], {}, "TF_CONFIG must name two workers"),
        ("tf_impl", ["distribution.devices=cpu:2"], {"TF_CONFIG": CLUSTER}, "start 2 workers instead"),
        ("tf_impl", ["distribution.devices=gpu:2"], {}, "got 0 GPU(s) here, expected 2"),
        ("tf_impl", [], {"TF_CONFIG": "{"}, "TF_CONFIG: cannot be read"),
        ("tf_impl", [], {"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:2"]}}'}, "the task of this one"),
        ("tf_impl", ["distribution.devices=cpu:3"], {}, "cannot be split evenly over 3 devices"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(implementation, overrides, environment, told, monkeypatch):
    if "gpu" in str(overrides) and _gpus():
        pytest.skip("there are GPUs here")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    engine = __import__(f"{implementation}.distribution", fromlist=["Replicas"])
    with pytest.raises(ConfigError) as refused, engine.Replicas(load("dcgan_tiny", overrides)):
        pass
    assert told in str(refused.value) and "\n" not in str(refused.value)


def _gpus():
    import torch

    return torch.cuda.is_available()


@pytest.mark.parametrize("devices", ["cpu:0", "tpu", "auto:2", "cpu:x"])
def test_devices_are_checked(devices):
    with pytest.raises(ConfigError, match="valid: auto, cpu, gpu, cpu:N, gpu:N"):
        load("dcgan_tiny", [f"distribution.devices={devices}"])


def test_one_device_is_one():
    with pytest.raises(ConfigError, match="give one device, or another strategy"):
        load("dcgan_tiny", ["distribution.devices=cpu:2", "distribution.strategy=one"])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_faces_over_eight_devices_run_on_two_made_small(implementation, tmp_path):
    pixels = (Draws(0).uniform("faces", (16, 40, 32, 3)) * 256).astype(np.uint8)
    (tmp_path / "faces").mkdir()
    for number, face in enumerate(pixels):
        Image.fromarray(face).save(tmp_path / "faces" / f"{number}.png")
    small = [
        "distribution.devices=cpu",
        "model.ngf=2",
        "model.ndf=2",
        "training.batch_size=8",
        "training.epochs=2",
        "data.workers=0",
    ]
    workers = crew(
        implementation, tmp_path, "upsample_dcgan_anime", "data.source=images:faces", *small, "runs.log_every=1"
    )
    assert workers.ended(PATIENCE) == [0, 0], workers.told(0)
    run = tmp_path / "runs" / "0001-upsample_dcgan_anime"
    assert [line["step"] for line in logged(run)] == [1, 2, 3, 4]
    assert (
        final(run)["generator/upconv_3" + (".weight" if implementation == "torch_impl" else "/kernel")].size
        == 2 * 3 * 9
    )
