"""Many processes train as one does, and all end, each with a message, when one of them dies."""

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
    LIMIT,
    ROOT,
    SMALL,
    WorkerGroup,
    final_state,
    logged,
    paused,
    start_training,
    worker_environments,
)
from torch_impl.checkpoints import state
from torch_impl.trainer import Trainer

SAME = 1e-10  # relative, of the largest in an array; sums in another order round to 1e-14 here
RUN = Path("runs/0001-dcgan_tiny")
pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(implementation, *words):
    """The exit status of ``python -m implementation train ...``, run in this process."""
    return run(implementation, import_module(f"{implementation}.__main__").load_framework, ["train", *words])


def run_alone(implementation, folder, *words, **environment):
    """The exit status and stderr of one process, started as a user starts it."""
    done = subprocess.run(
        [sys.executable, "-m", implementation, "train", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return done.returncode, done.stderr


def assert_same_state(got, expected):
    """Two states agree up to the order of sums."""
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert np.abs(got[name] - array).max() <= SAME * max(np.abs(array).max(), 1e-30), name


SYNCHRONISED = [*SMALL, "training.steps=4", "training.ema=0.9", "distribution.sync_batchnorm=true"]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_two_processes_train_as_one_does_and_each_resumes_the_others_run(implementation, tmp_path):
    assert command(implementation, *SYNCHRONISED) == 0
    reference, two = tmp_path / RUN, tmp_path / "two" / RUN.name
    assert len(logged(reference)) == 4
    workers = start_training(implementation, tmp_path, *SYNCHRONISED, "runs.folder=two", "training.steps=2")
    assert workers.statuses() == [0, 0], workers.last_lines()
    assert command(implementation, str(two), "--resume", "training.steps=3") == 0
    resumed = start_training(implementation, tmp_path, str(two), "--resume", "training.steps=4")
    assert resumed.statuses() == [0, 0], resumed.last_lines()
    for a, b in zip(logged(reference), logged(two), strict=True):
        assert b == pytest.approx(a, rel=SAME)
    assert_same_state(final_state(two), final_state(reference))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_running_statistics_are_saved_as_the_average_of_all_devices(implementation, tmp_path):
    """Without synchronised batch norm each device has its own: as one process that normalises each one's rows alone."""
    words = [*SMALL, "training.steps=2"]
    assert start_training(implementation, tmp_path, *words).statuses() == [0, 0]
    config = load(words[0], words[1:])
    trainer = slice_statistics(Trainer(config, 2), 2)
    with Stream(open_source(config.data, config.model), config.training.batch_size, config.training.seed) as batches:
        for step in range(2):
            trainer.step(step, batches)
    saved = final_state(tmp_path / RUN)
    saved = saved if implementation == "tf_impl" else to_keras(saved, config)
    assert_same_state(saved, to_keras(state(trainer), config))


@pytest.mark.parametrize("process", [0, 1])
def test_each_device_of_a_worker_gets_its_part_though_replicas_are_numbered_over_all_workers(process):
    """TensorFlow numbers the devices of several workers on; GPUs are stood in for."""
    from tf_impl.distribution import Replicas

    def distribute(value_fn):
        return [value_fn(SimpleNamespace(replica_id_in_sync_group=2 * process + i)).numpy().tolist() for i in (0, 1)]

    replicas = Replicas(load("dcgan_tiny"))
    replicas.process, replicas.processes, replicas.local = process, 2, 2
    replicas.strategy = SimpleNamespace(experimental_distribute_values_from_function=distribute)
    assert replicas.rows(np.arange(8)) == [[4 * process, 4 * process + 1], [4 * process + 2, 4 * process + 3]]


def test_a_run_under_torchrun_is_the_run_of_one_process(tmp_path):
    words = [*SYNCHRONISED, "training.accumulation=2"]
    assert command("torch_impl", *words, "runs.folder=one") == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "-m", "torch_impl", "train", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(RUN), "only one process prints the folder"
    assert_same_state(final_state(tmp_path / RUN), final_state(tmp_path / "one" / RUN.name))


STOPPED = 6  # the step after which a worker is stopped, two after a checkpoint
LONG = [*SMALL, "training.steps=9", "runs.checkpoint_every=4", "runs.sample_every=1000", "training.ema=0.9"]
ENDLESS = [*LONG, "training.steps=100000"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """By implementation, the state at the end of a run of two processes, made once."""
    states = {}

    def of(implementation):
        if implementation not in states:
            folder = tmp_path_factory.mktemp(implementation)
            assert start_training(implementation, folder, *LONG).statuses() == [0, 0]
            states[implementation] = final_state(folder / RUN)
        return states[implementation]

    return of


@pytest.mark.parametrize("victim", [0, 1], ids=["chief", "other"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_killed_worker_ends_the_run_which_resumes_to_the_same_state(implementation, victim, tmp_path, uninterrupted):
    """The other worker reports the loss long before ``distribution.timeout``."""
    workers = start_training(implementation, tmp_path, *LONG, pauses={victim: STOPPED})
    workers.wait_for(paused(tmp_path, victim).exists, f"step {STOPPED}")
    workers.signal(victim, signal.SIGKILL)
    statuses, other = workers.statuses(), 1 - victim
    assert statuses[victim] == -signal.SIGKILL and statuses[other] == 1
    assert f"lost worker {victim} of 2" in workers.messages(other) and "--resume" in workers.messages(other)
    assert "Traceback" not in workers.logs[other].read_text()
    resumed = start_training(implementation, tmp_path, str(RUN), "--resume")
    assert resumed.statuses() == [0, 0], resumed.last_lines()
    for name, array in uninterrupted(implementation).items():
        np.testing.assert_array_equal(final_state(tmp_path / RUN)[name], array, err_msg=name)


def test_processes_end_though_a_gloo_thread_still_frees_a_tensor(tmp_path):
    workers = WorkerGroup()
    for environment in worker_environments("torch_impl"):
        workers.start_program(["tests.implementations.late_thread"], tmp_path, environment)
    assert workers.statuses() == [0, 0], workers.last_lines()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_ctrl_c_at_any_worker_saves_and_ends_all(implementation, tmp_path):
    workers = start_training(implementation, tmp_path, *ENDLESS)
    workers.wait_for(lambda: len(logged(tmp_path / RUN)) >= 2, "two steps")
    workers.signal(1, signal.SIGINT)
    assert workers.statuses() == [130, 130], workers.last_lines()
    for worker in (0, 1):
        assert "interrupted: saved at step" in workers.messages(worker)
    steps = len(logged(tmp_path / RUN))
    assert command(implementation, str(RUN), "--resume", f"training.steps={steps + 1}") == 0


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_worker_that_hangs_ends_the_others_after_the_timeout(implementation, tmp_path):
    workers = start_training(implementation, tmp_path, *ENDLESS, "distribution.timeout=8")
    workers.wait_for(lambda: len(logged(tmp_path / RUN)) >= 2, "two steps")
    workers.signal(1, signal.SIGSTOP)
    try:
        assert workers.status(0) == 1
    finally:
        workers.kill()
    assert "worker 1" in workers.messages(0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_worker_with_another_configuration_is_rejected(implementation, tmp_path):
    other = {1: ["training.seed=1", "optimizer.lr=0.5"]}
    workers = start_training(implementation, tmp_path, *SMALL, "training.steps=2", own=other)
    assert workers.statuses() == [2, 2], workers.last_lines()
    for worker in (0, 1):
        message = workers.messages(worker)
        assert "worker 1" in message and "training.seed: got 1, expected 0" in message and "optimizer.lr" in message
    assert not (tmp_path / "runs").exists()


def test_a_worker_with_another_program_is_rejected(tmp_path):
    copy = tmp_path / "other"
    for part in ("shared_impl", "configs", "torch_impl"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "torch_impl" / "losses.py").open("a") as file:
        file.write("# another one\n")
    workers, program = WorkerGroup(), ["torch_impl", "train", *SMALL, "training.steps=2"]
    for environment, source in zip(worker_environments("torch_impl"), (ROOT, copy), strict=True):
        workers.start_program(program, tmp_path, environment, source)
    assert workers.statuses() == [2, 2], workers.last_lines()
    assert "program: got" in workers.messages(0) and "same command, code and packages" in workers.messages(1)


ABSENT = [*SMALL, "training.steps=2", "distribution.timeout=3"]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_missing_workers_are_named(implementation, tmp_path):
    chief, other = (start_training(implementation, tmp_path, *ABSENT, only=[worker]) for worker in (0, 1))
    assert chief.statuses() == [2] and other.statuses() == [2]
    assert "worker 0 has waited 3 s for" in chief.messages(0)
    assert implementation == "torch_impl" or "worker 1 (127.0.0.1:" in chief.messages(0)
    assert "worker 1 cannot reach worker 0 at 127.0.0.1:" in other.messages(0)


def test_a_connection_to_its_own_port_is_no_listener(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = free.getsockname()
    call = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda *asked: call(*asked, source_address=place))
    assert not is_listening(f"127.0.0.1:{place[1]}")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_an_occupied_port_is_named(implementation, tmp_path):
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
        status, message = run_alone(implementation, tmp_path, *ABSENT, **places[implementation])
    assert status == 2 and f"127.0.0.1:{port}, is in use" in message


@pytest.mark.parametrize(
    ("size", "overrides", "advice"),
    [
        (3, [], "use 63 or 66"),
        (128, [], "use 128, or another number"),
        (4, ["training.accumulation=32"], "in portions of accumulation=32: it is what all get together; use 128"),
    ],
)
def test_a_batch_that_cannot_be_split_evenly_is_rejected_with_advice(size, overrides, advice):
    config = load("specgan", overrides)
    with pytest.raises(ConfigError, match=f"training.batch_size=64 cannot be split evenly over {size} devices"):
        validate_even_split(config, size)
    with pytest.raises(ConfigError, match=advice):
        validate_even_split(config, size)
    validate_even_split(config, 1)


CLUSTER = '{"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}}'


@pytest.mark.parametrize(
    ("implementation", "overrides", "environment", "message"),
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
def test_an_impossible_distribution_is_rejected_with_advice(
    implementation, overrides, environment, message, monkeypatch
):
    if "gpu" in str(overrides) and _gpus():
        pytest.skip("there are GPUs here")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    engine = __import__(f"{implementation}.distribution", fromlist=["Replicas"])
    with pytest.raises(ConfigError) as error, engine.Replicas(load("dcgan_tiny", overrides)):
        pass
    assert message in str(error.value) and "\n" not in str(error.value)


def _gpus():
    import torch

    return torch.cuda.is_available()


@pytest.mark.parametrize("devices", ["cpu:0", "tpu", "auto:2", "cpu:x"])
def test_an_unknown_device_is_rejected(devices):
    with pytest.raises(ConfigError, match="valid: auto, cpu, gpu, cpu:N, gpu:N"):
        load("dcgan_tiny", [f"distribution.devices={devices}"])


def test_one_device_of_two_is_rejected():
    with pytest.raises(ConfigError, match="give one device, or another strategy"):
        load("dcgan_tiny", ["distribution.devices=cpu:2", "distribution.strategy=one"])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_preset_for_eight_devices_trains_on_two(implementation, tmp_path):
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
    words = ["upsample_dcgan_anime", "data.source=images:faces", *small, "runs.log_every=1"]
    workers = start_training(implementation, tmp_path, *words)
    assert workers.statuses() == [0, 0], workers.last_lines()
    run = tmp_path / "runs" / "0001-upsample_dcgan_anime"
    assert [line["step"] for line in logged(run)] == [1, 2, 3, 4]
    kernel = "generator/upconv_3" + (".weight" if implementation == "torch_impl" else "/kernel")
    assert final_state(run)[kernel].size == 2 * 3 * 9
