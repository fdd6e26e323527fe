"""Each rung of training can fail: a trainer is broken on purpose, and the verdict names place, step and cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
import torch

from parity.checks.climbing import climb
from parity.systems.distribution import device_runs
from parity.systems.distribution import rung as many_devices
from parity.systems.distribution.engines import ENGINES
from parity.systems.registry import training_pairs
from parity.systems.selection import select
from parity.systems.selftest import run_mutant
from parity.systems.training.context import ReferenceRuns, TrainingContext
from parity.systems.training.implementations import TORCH, Implementation, one_thread
from parity.systems.training.implementations import TorchTrainer as Trainer
from parity.systems.training.mutants import MUTANTS, Fault, TrainingMutant, configured, trained_by
from parity.systems.training.noise import cancelled
from parity.systems.training.registry import TRAINING, TRAINING_RUNGS
from parity.systems.training.training_pair import TrainingPair
from parity.systems.training.verification import verify_training
from parity.verdict import Finding, RungResult, UnusableInput, Verdict
from torch_impl.checkpoints import restore, state
from torch_impl.networks import update_average


@pytest.fixture(autouse=True)
def _one_engine_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (device_runs, many_devices):
        monkeypatch.setattr(module, "ENGINES", ENGINES[:1])
    monkeypatch.setattr(device_runs, "_started", [])


def marks(mutant: TrainingMutant) -> list[pytest.MarkDecorator]:
    return [pytest.mark.processes] if mutant.rung == "distribution" else []


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(mutant, id=f"{mutant.rung}-{mutant.name}", marks=marks(mutant)) for mutant in MUTANTS],
)
def test_a_broken_trainer_fails_that_rung_there(mutant: TrainingMutant) -> None:
    result = run_mutant(mutant)
    assert result.caught, f"{result.complaints}: {result.verdict.to_text()}"


def test_every_rung_has_a_mutant_that_breaks_it() -> None:
    assert {mutant.rung for mutant in MUTANTS} == set(TRAINING)


def test_the_selftest_reports_a_trainer_whose_fault_is_not_caught() -> None:
    window = next(mutant for mutant in MUTANTS if mutant.name == "symmetric window")
    harmless = dataclasses.replace(
        window, pair="dcgan.training training.steps=2", fault=lambda implementation: implementation
    )
    assert run_mutant(harmless).complaints == ["not caught: the broken port passes"]


@lru_cache(maxsize=4)
def reference_runs(words: str) -> ReferenceRuns:
    """The reference's runs under a configuration, made once for all ports that are compared with them."""
    (pair,) = select(words.split())
    assert isinstance(pair, TrainingPair)
    return ReferenceRuns(pair.config())


def tried(words: str, fault: Fault, rung: str) -> tuple[RungResult, list[Finding]]:
    """One rung's result for a broken port, and its findings."""
    context = TrainingContext(reference_runs(words), fault(TORCH))
    with one_thread():
        result, outcome = climb(TRAINING_RUNGS, rung, context)
    return result, outcome.findings


class Summed(Trainer):
    """Adds the portions of a batch up instead of averaging them."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.d_optimizer.apply = partial(self._apply_sum, self.d_optimizer.apply)

    def _apply_sum(self, apply: Any, gradients: Any, lr: float) -> None:
        apply([gradient * self.config.training.accumulation for gradient in gradients], lr)


class OnceMore(Trainer):
    """Runs the generator once more in training mode after each step."""

    def joint_step(self, *arguments: Any) -> Any:
        metrics = super().joint_step(*arguments)
        with torch.no_grad():
            self.generator(arguments[0].z)
        return metrics


class StuckCount(Trainer):
    """Takes every update for the first."""

    def step(self, step: int, batches: Iterator[Any]) -> Any:
        self.d_optimizer.resume(0)
        return super().step(step, batches)


class SameLatents(Trainer):
    """Draws the same latents in every step."""

    def draw_inputs(self, step: int, update: int) -> Any:
        return super().draw_inputs(0, update)


class AveragedTwice(Trainer):
    """Averages the generator twice a step."""

    def generator_step(self, *arguments: Any) -> Any:
        metrics = super().generator_step(*arguments)
        update_average(self.ema, self.generator, self.config.training.ema)
        return metrics


class Mislabelled(Trainer):
    """Tells D and G the classes of other images."""

    def next_batch(self, *arguments: Any) -> Any:
        images, labels = super().next_batch(*arguments)
        return images, labels.roll(1)


class DropsOtherChannels(Trainer):
    """Drops by the numbers of another pass."""

    def draw_inputs(self, step: int, update: int) -> Any:
        inputs = super().draw_inputs(step, update)
        return inputs._replace(dropout=inputs.dropout.flip(1))


class Iterates(Trainer):
    """Makes another power iteration after each step."""

    def joint_step(self, *arguments: Any) -> Any:
        metrics = super().joint_step(*arguments)
        for module in self.discriminator.modules():
            _ = getattr(module, "weight", None) if hasattr(module, "parametrizations") else None
        return metrics


class Decaying(Trainer):
    """Lets D's weights decay."""

    def discriminator_step(self, *arguments: Any) -> Any:
        metrics = super().discriminator_step(*arguments)
        with torch.no_grad():
            for parameter in self.discriminator.parameters():
                parameter.mul_(1 - 1e-4)
        return metrics


class Jolted(Trainer):
    """Is moved once, by something that no checkpoint holds."""

    steps_taken = 0

    def step(self, step: int, batches: Iterator[Any]) -> Any:
        metrics = super().step(step, batches)
        self.steps_taken += 1
        if self.steps_taken == 2:
            with torch.no_grad():
                next(self.generator.parameters()).add_(1e-6)
        return metrics


class Lost(Trainer):
    """Ends in NaN at its second step."""

    def step(self, step: int, batches: Iterator[Any]) -> Any:
        metrics = super().step(step, batches)
        return {name: value * float("nan") for name, value in metrics.items()} if step == 1 else metrics


class Crashing(Trainer):
    """Stops at its second step."""

    def step(self, step: int, batches: Iterator[Any]) -> Any:
        if step == 1:
            raise RuntimeError("no such operator")
        return super().step(step, batches)


def otherwise_seeded(implementation: Implementation) -> Implementation:
    """A port whose weights come from another seed."""

    def build(config: Any, steps: int, moments: Any) -> Trainer:
        other = config.model_copy(update={"training": config.training.model_copy(update={"seed": 1})})
        trainer, right = Trainer(other, steps, moments), Trainer(config, steps, moments)
        trainer.config, trainer.draws = right.config, right.draws
        return trainer

    return dataclasses.replace(implementation, build=build)


DCGAN = "dcgan.training training.steps=2"
EMA = "dcgan.training training.steps=2 training.ema=0.9 optimizer.beta2=0.99 training.accumulation=2"
SMOOTH = "dcgan.training training.steps=2 loss.label_smoothing=0.1"
RMSPROP = "dcgan.training training.steps=2 optimizer.kind=rmsprop"
WGAN = "dcgan.training training.steps=2 loss.kind=wgan optimizer.kind=adam"
CONDITIONAL = "conditional_dcgan.training training.steps=2"
AUXILIARY = f"{CONDITIONAL} model.label=auxiliary loss.auxiliary_weight=0.5"
CHANGED = f"{CONDITIONAL} data.flip=both data.rotate=20 data.jitter=0.2"
UPSAMPLE = "upsample_dcgan.training training.steps=2"
D_OUTPUT = "discriminator/output/kernel"
FAULTS: list[tuple[str, Fault, str, str, str, str]] = [
    (DCGAN, otherwise_seeded, "step", "initial-state", "discriminator/", "differs before the first step"),
    (RMSPROP, configured(optimizer={"initial_accumulator": 0.0}), "step", "initial-state", "d_optimizer/s/",
     "got 0, expected 1"),
    (DCGAN, configured(optimizer={"beta1": 0.9}), "step", "optimizer-decay", "d_optimizer/m/output/kernel",
     "optimizer.beta1=0.9; the configuration says 0.5"),
    (EMA, configured(optimizer={"beta2": 0.999}), "step", "optimizer-decay", "d_optimizer/v/output/kernel",
     "optimizer.beta2=0.999; the configuration says 0.99"),
    (RMSPROP, configured(optimizer={"decay": 0.99}), "step", "optimizer-decay", "d_optimizer/s/output/kernel",
     "optimizer.decay=0.99"),
    (DCGAN, configured(optimizer={"epsilon": 1e-7}), "step", "optimizer-epsilon", D_OUTPUT, "by epsilon 3.1"),
    (DCGAN, configured(optimizer={"lr": 1e-3}), "step", "learning-rate", D_OUTPUT, "rate 0.001; expected 0.0002"),
    (DCGAN, configured(optimizer={"lr_g": 1e-3}), "step", "learning-rate", "generator/upconv_4/kernel", "rate 0.001"),
    (RMSPROP, configured(optimizer={"lr": 2e-4}), "step", "learning-rate", D_OUTPUT, "rate 0.0002; expected 5e-05"),
    (EMA, trained_by(Summed), "step", "gradient", "d_optimizer/m/output/kernel", "gradient 2 times as large"),
    (EMA, configured(training={"ema": 0.99}), "step", "ema-decay", "ema/", "training.ema=0.99; the configuration says"),
    (DCGAN, trained_by(Decaying), "step", "numeric", D_OUTPUT, "no one setting explains it"),
    (EMA, trained_by(AveragedTwice), "step", "ema-decay", "ema/", "training.ema=0.81; the configuration says 0.9"),
    (SMOOTH, configured(loss={"label_smoothing": 0.0}), "step", "loss", "d_loss", "compare the targets"),
    (SMOOTH, configured(loss={"smooth_fakes": True}), "step", "loss", "d_loss", "the loss made of them does not"),
    (DCGAN, configured(loss={"d_scale": 0.5}), "step", "loss", "d_loss", "d_scale"),
    (WGAN, configured(loss={"clip": 0.1}), "step", "weight-clipping", "discriminator/", "loss.clip=0.01 keeps"),
    (DCGAN, trained_by(OnceMore), "step", "batchnorm-statistics", "generator/upconv_", "same passes"),
    (UPSAMPLE, configured(loss={"label_smoothing": 0.0}), "step", "loss", "d_loss", "compare the targets"),
    (UPSAMPLE, trained_by(DropsOtherChannels), "step", "loss", "d_", ""),
    (CONDITIONAL, trained_by(Mislabelled), "step", "loss", "d_", ""),
    (CONDITIONAL, trained_by(Iterates), "step", "spectral-norm", "discriminator/",
     "1 power iteration(s) more than the reference makes"),
    (AUXILIARY, configured(loss={"auxiliary_weight": 1.0}), "step", "loss", "d_class", "auxiliary_weight"),
    (CHANGED, configured(data={"flip": "none"}), "step", "loss", "d_", ""),
    (CHANGED, configured(data={"rotate": 10.0}), "step", "loss", "d_", ""),
    (CHANGED, configured(data={"jitter": 0.1}), "step", "loss", "d_", ""),
    (DCGAN, trained_by(SameLatents), "training", "loss", "d_fake", "step 2: d_fake is"),
    (DCGAN, trained_by(StuckCount), "training", "update-count", "d_optimizer/updates", "counts 1 updates; 2 were made"),
    (DCGAN, trained_by(Jolted), "training", "numeric", "generator/", "does not when the step is repeated"),
    (DCGAN, trained_by(Lost), "training", "loss", "d_real", "d_real is nan"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "fault", "rung", "kind", "layer", "text"), FAULTS, ids=lambda x: x if isinstance(x, str) else ""
)
def test_a_fault_is_named(words: str, fault: Fault, rung: str, kind: str, layer: str, text: str) -> None:
    result, findings = tried(words, fault, rung)
    assert result.judgement == "fail"
    (finding,) = findings
    assert (finding.kind, finding.rung) == (kind, rung), finding.message
    assert finding.reference_layer.startswith(layer), finding
    assert text in f"{finding.message}; {finding.fix}", finding.message


@pytest.mark.parametrize(
    ("words", "fault", "kind", "layer"),
    [
        ("specgan_tiny.training model.padding=symmetric", lambda port: port, "padding-alignment", "downconv_0"),
        ("specgan_tiny.training model.kernel_len=4", configured(model={"kernel_len": 3}), "kernel-size", "downconv_0"),
        ("upsample_dcgan.training", configured(model={"upsample": "bilinear"}), "resize-mode", ""),
    ],
    ids=["padding", "kernel", "upsampling"],
)
def test_networks_that_differ_are_the_cause(words: str, fault: Fault, kind: str, layer: str) -> None:
    (pair,) = select([*words.split(), "training.steps=2"])
    verdict = verify_training(pair.config(), port=fault(TORCH), rungs=["step", "training"])
    first = verdict.findings[0]
    assert first.kind == kind, verdict.to_text()
    assert {finding.rung for finding in verdict.findings} == {"step"}
    assert first.layer.startswith(("discriminator/", "generator/")) and layer in first.layer
    assert len({(finding.kind, finding.fix) for finding in verdict.findings}) == len(verdict.findings)
    assert f"{kind} of the networks that are trained at " in verdict.headline


def test_a_fault_in_a_later_step_passes_the_rung_step() -> None:
    assert tried(DCGAN, trained_by(SameLatents), "step")[0].judgement == "pass"
    result, findings = tried(DCGAN, configured(optimizer={"lr": 1e-3}), "training")
    assert result.judgement == "fail" and not findings
    assert result.message == "the runs part at step 1: discriminator/output/kernel"


@pytest.mark.parametrize("optimizer", [{"beta2": float(np.float32(0.999))}, {"lr": 2e-4 * (1 + 1e-7)}])
def test_a_constant_rounded_to_float32_fails(optimizer: dict[str, float]) -> None:
    result, _ = tried(DCGAN, configured(optimizer=optimizer), "step")
    assert result.judgement == "fail"


def test_a_port_that_stops_fails_every_rung_that_trains() -> None:
    for rung in ("step", "training", "checkpoint"):
        result, _ = tried(DCGAN, trained_by(Crashing), rung)
        assert result.judgement == "fail"
        assert result.message == "the port does not train to its end: RuntimeError: no such operator"


def test_a_state_that_lacks_an_array_fails() -> None:
    def forgetful(implementation: Implementation) -> Implementation:
        return dataclasses.replace(
            implementation,
            state=lambda trainer: {n: a for n, a in state(trainer).items() if n != "g_optimizer/updates"},
        )

    result, _ = tried(DCGAN, forgetful, "step")
    assert result.judgement == "fail" and "g_optimizer/updates: torch's state does not hold it" in result.message


def forgets_count(implementation: Implementation) -> Implementation:
    def partly(trainer: Any, arrays: Mapping[str, np.ndarray]) -> None:
        restore(trainer, {**arrays, "d_optimizer/updates": np.array(0)})

    return dataclasses.replace(implementation, restore=partly)


def forgets_names(implementation: Implementation) -> Implementation:
    def partly(trainer: Any, arrays: Mapping[str, np.ndarray]) -> None:
        restore(trainer, {name: array for name, array in arrays.items() if not name.startswith("ema/")})

    return dataclasses.replace(implementation, restore=partly)


class Counting(Trainer):
    """Draws by how often it has been asked, not by the step."""

    asked = 0

    def draw_inputs(self, step: int, update: int) -> Any:
        self.asked += 1
        return super().draw_inputs(self.asked - 1, update)


@pytest.mark.parametrize(
    ("fault", "kind", "layer", "text"),
    [
        (forgets_count, "checkpoint-incomplete", "d_optimizer/updates", "as read back"),
        (forgets_names, "checkpoint-incomplete", "state", "arrays are not this run's"),
        (trained_by(Counting), "checkpoint-resume", "", "differs from the run that was never stopped"),
    ],
    ids=["count", "names", "draws"],
)
def test_a_checkpoint_that_lacks_something_is_named(fault: Fault, kind: str, layer: str, text: str) -> None:
    result, (finding, *_) = tried(EMA, fault, "checkpoint")
    assert result.judgement == "fail" and finding.kind == kind, finding.message
    assert finding.reference_layer.startswith(layer) and text in finding.message
    assert "torch" in finding.message


def flat(implementation: Implementation) -> Implementation:
    return dataclasses.replace(implementation, image=lambda images: TORCH.image(images).transpose(0, 2, 1, 3))


def corrected(implementation: Implementation) -> Implementation:
    return dataclasses.replace(
        implementation, waveform=lambda x, m, inverse, *framing: TORCH.waveform(x, m, "corrected", *framing)
    )


def unclipped(implementation: Implementation) -> Implementation:
    def spectrogram(clips: np.ndarray, moments: Any, frame: int, hop: int) -> np.ndarray:
        return ((TORCH.log_magnitude(clips, frame, hop) - moments.mean) / moments.std / 3)[:, :, :-1, None]

    return dataclasses.replace(implementation, spectrogram=spectrogram)


def halved(implementation: Implementation) -> Implementation:
    return dataclasses.replace(implementation, prepare=lambda trainer, x: (TORCH.prepare(trainer, x) + 1) / 2)


@pytest.mark.parametrize(
    ("words", "fault", "layer"),
    [
        ("specgan.training training.steps=1", flat, "image"),
        ("specgan.training training.steps=1", corrected, "inverse"),
        ("specgan.training training.steps=1", unclipped, "spectrogram"),
        ("dcgan.training training.steps=1", halved, "prepare"),
    ],
)
def test_data_prepared_differently_is_named(words: str, fault: Fault, layer: str) -> None:
    (pair,) = select(words.split())
    verdict = verify_training(pair.config(), port=fault(TORCH), rungs=["data"])
    assert [finding.kind for finding in verdict.findings] == [layer], verdict.to_text()
    assert verdict.headline.endswith(f"NOT faithful: {layer} at {layer} (data fails)"), verdict.headline
    assert verdict.training is None and verdict.coverage.unit == "checks"


def test_a_stream_without_a_seed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from parity.systems.training import data

    seeds = iter(range(9))

    class Unseeded(data.Stream):
        def __init__(self, source: Any, size: int, seed: int, **options: Any) -> None:
            super().__init__(source, size, next(seeds), **options)

        def identity(self) -> dict[str, Any]:
            return {}

    monkeypatch.setattr(data, "Stream", Unseeded)
    outcome = data.data(TrainingContext(ReferenceRuns(training_pairs()[1].config())))
    assert [finding.kind for finding in outcome.findings] == ["batches"]


def test_data_that_cannot_be_read_abstains(tmp_path: Any) -> None:
    (pair,) = select(["dcgan.training", f"data.source=images:{tmp_path}"])
    verdict = pair.verify(rungs=["data"])
    assert verdict.rungs["data"].judgement == "abstain" and "cannot be read" in verdict.rungs["data"].message


BFLOAT16 = "dcgan.training training.steps=2 training.precision=bfloat16"


def test_float32_passed_off_as_bfloat16_fails() -> None:
    (pair,) = select(BFLOAT16.split())
    verdict = verify_training(
        pair.config(), port=configured(training={"precision": "float32"})(TORCH), rungs=["step", "training"]
    )
    assert [finding.kind for finding in verdict.findings] == ["precision"]
    assert "that is no bfloat16" in verdict.findings[0].message
    assert verdict.rungs["training"].judgement == "abstain" and verdict.training is not None


def test_bfloat16_lists_what_is_not_judged() -> None:
    (pair,) = select(BFLOAT16.split())
    verdict = pair.verify()
    assert verdict.passed and verdict.rungs["checkpoint"].judgement == "pass"
    assert "single values abstain" in verdict.rungs["step"].message
    assert verdict.coverage.unit == "checks" and "values, lockstep" in verdict.coverage.abstained
    assert verdict.training is not None and not verdict.training.apart and not verdict.layers


def test_noisy_parameters_are_excluded_by_name_and_reason() -> None:
    (pair,) = select(["specgan.training", "model.use_batchnorm=true", "training.steps=2"])
    reasons = cancelled(pair.config())
    assert "generator/upconv_1/bias" in reasons and "discriminator/downconv_4/bias" in reasons
    assert "raises real and fake alike" in reasons["discriminator/output/bias"]
    assert not {"generator/z_project/bias", "generator/upconv_4/bias", "discriminator/downconv_0/bias"} & reasons.keys()
    verdict = pair.verify(rungs=["step"])
    assert verdict.passed, verdict.to_text()
    assert set(verdict.coverage.abstained) == set(reasons)
    assert verdict.coverage.total - verdict.coverage.judged == len(reasons)
    rows = {row.reference_layer: row for row in verdict.layers}
    assert rows["generator/upconv_1/bias"].note == "upconv_1_bn subtracts the mean, and this bias with it"
    assert rows["generator/upconv_0/kernel"].layer == "generator/upconv_0.weight"


def test_a_bias_that_rounding_does_not_move_is_compared() -> None:
    """A reason alone does not exclude a parameter: the reference's rounding must move it."""
    assert TrainingContext(reference_runs(DCGAN)).noise == {}


def test_a_reference_that_does_not_train_is_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    from parity.systems.training.implementations import KERAS

    def build(*arguments: Any) -> Any:
        raise ValueError("no memory")

    with pytest.raises(UnusableInput, match="the reference does not train: ValueError: no memory"):
        verify_training(reference_runs(DCGAN).config, reference=dataclasses.replace(KERAS, build=build), rungs=["step"])


def test_a_verdict_on_training_is_serialisable() -> None:
    import json

    verdict: Verdict = verify_training(
        reference_runs(DCGAN).config, name="mine", rungs=["step", "training"], reference_runs=reference_runs(DCGAN)
    )
    body = json.loads(verdict.to_json())
    assert body["passed"] and body["coverage"]["unit"] == "parameters" and body["training"]["steps"] == 2
    assert len(body["training"]["curves"][0]["reference"]) == len(body["training"]["apart"]) == 2
    assert "parameters judged" in verdict.headline and "### Losses" in verdict.to_markdown()


def test_a_port_that_stops_has_a_verdict() -> None:
    runs = reference_runs(DCGAN)
    verdict = verify_training(runs.config, port=trained_by(Crashing)(TORCH), rungs=["step"], reference_runs=runs)
    assert not verdict.passed and verdict.training is None
    assert "no such operator" in verdict.rungs["step"].message
