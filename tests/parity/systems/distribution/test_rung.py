"""The rung distribution catches trainers that are broken on many devices alone, and names what is wrong with them."""

from __future__ import annotations

import dataclasses
from itertools import product
from types import SimpleNamespace

import pytest
import tensorflow as tf

from parity.checks.climbing import climb
from parity.systems import frameworks
from parity.systems.distribution import device_runs, rung, worker
from parity.systems.distribution.device_runs import APART, OWN, RESUMED, EngineFailed, Job, traced_job
from parity.systems.distribution.engines import DDP, ENGINES, Engine, environments
from parity.systems.distribution.one_process import OwnProcesses
from parity.systems.distribution.tasks import Task
from parity.systems.selection import select
from parity.systems.training import trajectories
from parity.systems.training.context import ReferenceRuns, TrainingContext
from parity.systems.training.implementations import TORCH, one_thread
from parity.systems.training.mutants import configured, in_processes
from parity.systems.training.registry import BFLOAT16_RUNGS, TRAINING_RUNGS
from shared_impl.config.differences import plain

pytestmark = pytest.mark.processes
TWO = (ENGINES[0],)
STEPS = "training.steps=4"


@pytest.fixture(autouse=True)
def _two_processes_of_torch(monkeypatch):
    """One engine is enough to name a fault; the registry's own pairs are verified on all of them."""
    for module in (device_runs, rung):
        monkeypatch.setattr(module, "ENGINES", TWO)
    monkeypatch.setattr(device_runs, "_started", [])


def verdict(words, port=TORCH):
    (pair,) = select(words.split())
    context = TrainingContext(ReferenceRuns(pair.config()), port)
    with one_thread():
        return climb(TRAINING_RUNGS if context.exact else BFLOAT16_RUNGS, "distribution", context)


@pytest.mark.parametrize(
    "options",
    [
        "specgan.training loss.kind=lsgan model.use_batchnorm=true optimizer.clip_norm=0.5 training.d_updates=1",
        "dcgan.training loss.kind=wgan-gp training.reuse_fakes=false",
        "dcgan.training training.accumulation=2 training.batch_size=8 training.ema=0.9 training.instance_noise=0.3",
        "conditional_dcgan_tiny.training model.attention_at=[8] model.attention_d=[8] training.ema=0.9",
    ],
)
def test_options_whose_code_depends_on_devices_agree_with_one_device(options):
    result, outcome = verdict(f"{options} {STEPS}")
    assert result.judgement == "known-difference" and not outcome.findings, result.message
    (known,) = (check for check in result.checks if check.judgement == "known-difference")
    assert known.measured > 1e-6 and "normalises by its own" in known.message


def test_networks_without_batch_norm_have_no_known_difference():
    result, _ = verdict(f"specgan.training training.d_updates=1 {STEPS}")
    assert result.judgement == "pass" and "sync_batchnorm" not in result.message
    assert max(check.measured for check in result.checks if check.judgement == "pass") < 1e-10


@pytest.mark.parametrize(
    ("trainer", "kind"),
    [
        ("parity.systems.distribution.mutants:AllTheFirst", "shards"),
        ("parity.systems.distribution.mutants:Unshared", "gradient-average"),
    ],
)
def test_a_trainer_broken_on_many_devices_fails_under_its_kind(trainer, kind):
    result, outcome = verdict(f"dcgan.training {STEPS}", in_processes(trainer)(TORCH))
    assert result.judgement == "fail"
    assert {finding.kind for finding in outcome.findings} == {kind}
    assert DDP in outcome.findings[0].message and "from the run in one process" in outcome.findings[0].message


@pytest.mark.parametrize(
    ("words", "port"),
    [
        ("specgan.training model.padding=symmetric training.d_updates=1 training.steps=2", TORCH),
        ("dcgan.training training.steps=2", configured(optimizer={"beta1": 0.9})(TORCH)),
    ],
    ids=["other padding", "other decay"],
)
def test_what_the_frameworks_do_differently_is_not_blamed_on_an_engine(words, port):
    result, outcome = verdict(words, port)
    assert result.judgement != "fail" and not outcome.findings, result.message
    assert "one process of the same framework" in result.message


def test_keras_normalises_slices_of_a_batch_as_torch_does():
    (pair,) = select(f"dcgan.training {STEPS}".split())
    context = TrainingContext(ReferenceRuns(pair.config()))
    alone = OwnProcesses(context, Job(context.config))
    with one_thread():
        keras_state, torch_state = (alone.normalised_apart(framework, 2) for framework in ("tensorflow", "torch"))
    limits = trajectories.states(*([context.expected.states[0], state] for state in (keras_state, torch_state)),
                                 [context.expected.states[0], keras_state])  # fmt: skip
    whole = context.expected.states[2]
    name = "generator/upconv_1/kernel"
    assert abs(keras_state[name] - whole[name]).max() > 1e-6
    assert not limits[name].diverged(1) and not limits["generator/upconv_1_bn/moving_variance"].diverged(1)


def test_a_failing_engine_reports_the_last_line_of_its_output():
    result, outcome = verdict(
        f"dcgan.training {STEPS}", in_processes("parity.systems.distribution.mutants:Missing")(TORCH)
    )
    (finding,) = outcome.findings
    assert result.judgement == "fail" and finding.kind == "engine" and finding.layer == ENGINES[0].name
    assert "exit status 1" in finding.message and "has no attribute 'Missing'" in finding.message


@pytest.mark.parametrize(
    ("words", "reason"),
    [("training.precision=bfloat16", "judged in float64"), ("training.batch_size=3", "not split evenly over 2")],
)
def test_configurations_that_cannot_be_judged_abstain_with_the_reason(words, reason):
    result, _ = verdict(f"dcgan.training {words} {STEPS}")
    assert result.judgement == "abstain" and reason in result.checks[0].message


def test_runs_started_together_serve_all_their_configurations():
    configs = [select([f"{system}.training", STEPS])[0].config() for system in ("dcgan", "specgan")]
    device_runs.start(configs)
    first, second = (device_runs.results_for(Job(config)) for config in configs)
    assert first is second and len(device_runs._started) == 1
    other = select(["dcgan.training", "training.steps=2"])[0].config()
    assert device_runs.results_for(Job(other)) is not first
    for one in device_runs._started:
        one.close()
        assert not one.folder.exists()
    with pytest.raises(EngineFailed):
        first.result(Job(configs[0]), TWO[0], device_runs.OWN)


def test_one_run_is_traced_and_it_is_one_with_batch_norm(monkeypatch):
    monkeypatch.setattr(device_runs, "ENGINES", ENGINES)
    monkeypatch.setattr(device_runs.DeviceRuns, "_run", lambda self: None)
    one = device_runs.DeviceRuns(Job(select([f"{system}.training"])[0].config()) for system in ("specgan", "dcgan"))
    tasks = [(*key, one._task(*key)) for key in product(one.jobs, ENGINES, (OWN, RESUMED, APART))]
    one.close()
    assert [key for *key, task in tasks if task.traced] == [[one.jobs[1], ENGINES[1], OWN]]
    assert traced_job(one.jobs[:1]) is one.jobs[0]
    assert {run: (task.first, task.last) for _, _, run, task in tasks} == {
        OWN: (0, 2), RESUMED: (2, 3), APART: (0, 2)
    }  # fmt: skip


def test_tensorflow_traces_or_runs_eagerly():
    counted = []
    function = tf.function(lambda: counted.append(1))
    try:
        for wanted in (True, False):
            frameworks.trace(wanted)
            for _ in range(3):
                function()
    finally:
        frameworks.trace(True)
    assert len(counted) == 1 + 3


def test_a_worker_traces_only_tasks_marked_as_traced(monkeypatch):
    (pair,) = select(["dcgan.training", STEPS])
    eagerly = []
    trainer = SimpleNamespace(
        step=lambda step, batches: eagerly.append(tf.config.functions_run_eagerly()), settle=lambda: None
    )
    implementation = SimpleNamespace(
        Trainer=lambda *arguments: trainer, state=lambda trainer: {}, restore=lambda trainer, state: None
    )
    monkeypatch.setattr(worker, "import_module", lambda name: implementation)
    alone = SimpleNamespace(processes=1, process=0, mean=lambda metrics: metrics, chief=False)
    tasks = [
        Task("implementation:Trainer", plain(pair.config()), 4, 0, 1, wanted, None, "")
        for wanted in (True, False, True)
    ]
    worker.perform("tf_impl", tasks, alone)
    assert eagerly == [False, True, False]


def test_environments_name_rank_and_free_ports():
    torch_places = environments(Engine("torch", DDP, 4, 4))
    assert [place["RANK"] for place in torch_places] == ["0", "1", "2", "3"]
    assert len({(place["MASTER_PORT"], place["WORLD_SIZE"]) for place in torch_places}) == 1
    (multi,) = (engine for engine in ENGINES if engine.framework == "tensorflow" and engine.processes == 2)
    assert len({place["TF_CONFIG"] for place in environments(multi)}) == 2
    assert environments(dataclasses.replace(multi, processes=1)) == [{}]
