"""A fault in one implementation fails golden records in its framework alone, and is not blamed on the record."""

from __future__ import annotations

from functools import wraps

import pytest

import tf_impl.spectrogram
import torch_impl.spectrogram
from parity.systems.golden import check, render
from tests.parity.systems.golden.copies import failures

IMPLEMENTATIONS = {"Keras": tf_impl, "torch": torch_impl}


def test_wrong_epsilon_in_one_framework_fails_there_alone(dcgan, monkeypatch):
    build = torch_impl.DCGANGenerator.__init__

    @wraps(build)
    def faulty(self, *args, **kwargs):
        build(self, *args, **kwargs)
        self.upconv_1_bn.eps = 1e-3

    monkeypatch.setattr(torch_impl.DCGANGenerator, "__init__", faulty)
    results = {(result.quantity, result.framework): result for result in check(dcgan)}
    assert results["first_fake", "Keras"].passed
    assert not results["first_fake", "torch"].passed
    assert "stands apart" not in results["first_fake", "torch"].message


@pytest.mark.parametrize(
    ("attribute", "value", "quantities"),
    [
        ("LOG_EPSILON", 1e-5, {"mean", "std", "spectrogram"}),
        ("DEVIATIONS", 3.1, {"spectrogram", "griffin_lim"}),
        ("SMALLEST", 1e-1, {"griffin_lim"}),
    ],
)
def test_wrong_constant_of_spectrograms_fails(spectrogram, monkeypatch, attribute, value, quantities):
    for implementation in (tf_impl.spectrogram, torch_impl.spectrogram):
        monkeypatch.setattr(implementation, attribute, value)
    failed = {(result.quantity, result.framework): result for result in failures(spectrogram)}
    assert failed.keys() == {(quantity, framework) for quantity in quantities for framework in ("Keras", "torch")}
    assert all(result.error > 2 * result.limit for result in failed.values())


@pytest.mark.parametrize("option", [{"iterations": 15}, {"inverse": "corrected"}])
def test_other_griffin_lim_in_one_framework_fails_there_alone(spectrogram, monkeypatch, option):
    stock = torch_impl.spectrogram.waveform
    monkeypatch.setattr(
        torch_impl.spectrogram, "waveform", lambda *arguments, **options: stock(*arguments, **{**options, **option})
    )
    (result,) = failures(spectrogram)
    assert (result.quantity, result.framework) == ("griffin_lim", "torch")
    assert result.error > 10 * result.limit
    assert "stands apart" not in result.message


def optimizer(kind: str, **options):
    """A fault: the implementation's optimiser takes these options for the configured ones."""

    def fault(monkeypatch, implementation):
        table = implementation.optimizers.OPTIMIZERS
        sound = table[kind]
        monkeypatch.setitem(
            table, kind, lambda cfg, parameters: sound(cfg.model_copy(update=options), parameters)
        )  # fmt: skip

    return fault


def d_loss(kind: str, spoil):
    """A fault: the discriminator's loss, given the sound one."""

    def fault(monkeypatch, implementation):
        table = implementation.losses.D_LOSSES
        sound = table[kind]
        monkeypatch.setitem(table, kind, lambda *arguments: spoil(sound(*arguments)))

    return fault


def config(section: str, **options):
    """A fault: the implementation's trainer has these options for the configured ones."""

    def fault(monkeypatch, implementation):
        build = implementation.trainer.Trainer.__init__

        def __init__(self, config, *rest):
            other = getattr(config, section).model_copy(update=options)
            build(self, config.model_copy(update={section: other}), *rest)

        monkeypatch.setattr(implementation.trainer.Trainer, "__init__", __init__)

    return fault


def one_mixing_weight_for_all(monkeypatch, implementation):
    penalty = implementation.losses.gradient_penalty
    monkeypatch.setattr(
        implementation.losses,
        "gradient_penalty",
        lambda cfg, d, real, fake, alpha: penalty(cfg, d, real, fake, alpha * 0 + 0.5),
    )


FAULTS = {
    "epsilon in torch's place": ("dcgan", optimizer("adam", epsilon_place="torch")),
    "epsilon in torch's place under a penalty": ("wgan-gp", optimizer("adam", epsilon_place="torch")),
    "second moment too short": ("dcgan", optimizer("adam", beta2=0.99)),
    "mean square from zero": ("lsgan", optimizer("rmsprop", initial_accumulator=0.0)),
    "mean square from zero, clipped": ("wgan", optimizer("rmsprop", initial_accumulator=0.0)),
    "half of the loss forgotten": ("dcgan", d_loss("dcgan", lambda loss: 2 * loss)),
    "sign of the critic's loss": ("wgan", d_loss("wgan", lambda loss: -loss)),
    "weights not clipped": ("wgan", config("loss", clip=1e9)),
    "penalty too weak": ("wgan-gp", config("loss", penalty_weight=9.99)),
    "one mixing weight for all": ("wgan-gp", one_mixing_weight_for_all),
}


@pytest.mark.parametrize(
    ("fault", "framework"),
    [*[(fault, "torch") for fault in FAULTS], *[(fault, "Keras") for fault in list(FAULTS)[::4]]],
)
def test_trainer_fault_fails_in_its_framework_alone(training, monkeypatch, replayed_once_but, fault, framework):
    loss, plant = FAULTS[fault]
    folder = training(loss)
    replayed_once_but(framework)
    plant(monkeypatch, IMPLEMENTATIONS[framework])
    failed = failures(folder)
    assert failed
    assert {result.framework for result in failed} == {framework}
    assert all(result.error > result.limit and "stands apart" not in result.message for result in failed)
    assert max(result.error / result.limit for result in failed) > 4


def test_dcgan_trainer_faults_fail_in_their_frameworks(dcgan, monkeypatch):
    optimizer("adam", epsilon_place="tensorflow")(monkeypatch, torch_impl)
    d_loss("dcgan", lambda loss: loss / 2)(monkeypatch, tf_impl)
    failed = {(result.framework, result.quantity): result for result in failures(dcgan)}
    assert ("Keras", "loss_D") in failed and ("torch", "loss_D") in failed
    assert failed["Keras", "loss_D"].error > 0.1 > 1e-9 > failed["torch", "loss_G"].limit


@pytest.mark.parametrize(
    ("d_updates", "place", "got"), [(4, 4, "G, the record's D"), (6, 5, "D, the record's G")], ids=["fewer", "more"]
)
def test_wrong_order_of_updates_fails_and_leaves_the_rest_not_judged(
    training, monkeypatch, replayed_once_but, d_updates, place, got
):
    folder = training("lsgan")
    replayed_once_but("torch")
    config("training", d_updates=d_updates)(monkeypatch, torch_impl)
    results = check(folder)
    failed = [result for result in results if not result.passed]
    assert [(result.framework, result.quantity) for result in failed] == [("torch", "order")]
    assert failed[0].message == f"specgan_training/lsgan/order: update {place} of torch is {got}"
    assert [result.quantity for result in results if result.framework == "Keras"] == ["order"]
    text = render(results)
    assert "not judged: specgan_training/lsgan: losses and weights, since the updates are not the record's" in text
    assert text.endswith("0 of 1 recorded arrays agree in Keras and torch")
