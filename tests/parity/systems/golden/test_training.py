"""Golden training records: one changed number and each fault of a trainer fails by name; records never seen pass."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tf_impl
import torch_impl
from parity.numerics.difference import ROUNDING_LIMIT
from parity.systems.golden import check, render, replay, training
from parity.systems.golden.records import DCGANSetting, Record, SpecGANTrainingSetting, read_folder
from parity.systems.golden.results import LIMITS, MOST
from parity.verdict import UnusableInput
from tests.parity.systems.golden.copies import copied, drop, edit, only, put, rewritten

IMPLEMENTATIONS = {"Keras": tf_impl, "torch": torch_impl}


def failures(folder: Path) -> list:
    return [result for result in check(folder) if not result.passed]


@pytest.fixture
def one(tmp_path):
    """Makes a folder that holds a single setting of SpecGAN's training record."""
    return lambda loss: only(tmp_path, "specgan_training", loss)


@pytest.fixture(scope="module")
def kept():
    """Replays that tests have in common: what the unchanged implementations make of the unchanged settings."""
    return {}


@pytest.fixture
def as_kept(monkeypatch, kept):
    """Replays each setting once for all tests that change nothing but recorded numbers."""
    replayed = training.specgan_training

    def once(record, name, setting):
        if name not in kept:
            played, rounded = replayed(record, name, setting)
            kept[name] = played, [next(rounded) for _ in range(training.RUNS)]
        played, runs = kept[name]
        return played, iter(runs)

    monkeypatch.setattr(training, "specgan_training", once)


@pytest.mark.parametrize(
    ("loss", "quantity", "factor"),
    [
        ("dcgan", "D_loss", 1 + 1e-4),
        ("dcgan", "final/D/downconv_2/conv2d/bias", 1 + 1e-3),
        ("lsgan", "G_loss", 1 + 1e-4),
        ("lsgan", "final/G/upconv_4/conv2d_transpose/kernel", 1 + 1e-3),
        ("wgan", "G_loss", 1 + 1e-4),
        ("wgan", "final/D/output/dense/kernel", -1),
        ("wgan-gp", "D_loss", 1 + 1e-3),
        ("wgan-gp", "final/G/z_project/dense/kernel", 1 + 1e-2),
    ],
)
def test_one_changed_number_fails_in_both_frameworks_with_both_values(one, as_kept, loss, quantity, factor):
    folder, values = one(loss), []

    def change(arrays):
        recorded = arrays[f"{loss}/{quantity}"]
        largest = np.argmax(np.abs(recorded))
        values.append(float(recorded.flat[largest]))
        recorded.flat[largest] *= factor
        values.extend([float(recorded.flat[largest]), int(largest), recorded.shape])

    rewritten(folder / "specgan_training.npz", change)
    failed = failures(folder)
    old, new, place, shape = values
    assert [(result.framework, result.quantity) for result in failed] == [("Keras", quantity), ("torch", quantity)]
    for result in failed:
        assert np.ravel_multi_index(result.index, shape) == place
        assert result.expected == new
        assert result.got == pytest.approx(old, rel=1e-5)
        assert f"specgan_training/{loss}/{quantity}: {result.framework} is" in result.message
        assert f"got {result.got:.9g}, expected {new:.9g}" in result.message
        assert "the record itself stands apart" in result.message


@pytest.mark.parametrize(
    ("quantity", "place"),
    [("loss_D", 2), ("loss_G", 0), ("final/G/6.weight", 100), ("final/D/9.running_var", 3)],
)
def test_one_changed_number_of_dcgan_s_steps_fails_in_both_frameworks(tmp_path, quantity, place):
    copied(tmp_path, "dcgan_training")
    rewritten(tmp_path / "dcgan_training.npz", lambda arrays: arrays[quantity].flat.__setitem__(place, 0.123456789))
    failed = failures(tmp_path)
    assert [(result.framework, result.quantity) for result in failed] == [("Keras", quantity), ("torch", quantity)]
    assert all("expected 0.123456789; Keras and torch agree" in result.message for result in failed)


def test_a_wrong_count_of_batches_is_torch_s_alone(tmp_path):
    copied(tmp_path, "dcgan_training")
    key = "final/D/6.num_batches_tracked"
    rewritten(
        tmp_path / "dcgan_training.npz", put(key, np.array(6.0)) and (lambda a: a.__setitem__(key, np.array(6.0)))
    )
    results = check(tmp_path)
    failed = [result for result in results if not result.passed]
    assert [(result.framework, result.quantity, result.got) for result in failed] == [("torch", key, 9.0)]
    row = next(line for line in render(results).splitlines() if key in line)
    assert row.split()[1:] == [key, "-", "5.0e-01", "1e-10", "FAIL"]


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
def test_a_fault_of_a_trainer_fails_in_its_framework_alone(one, monkeypatch, fault, framework):
    loss, spoil = FAULTS[fault]
    folder = one(loss)
    spoil(monkeypatch, IMPLEMENTATIONS[framework])
    failed = failures(folder)
    assert failed
    assert {result.framework for result in failed} == {framework}
    assert all(result.error > result.limit and "stands apart" not in result.message for result in failed)
    assert max(result.error / result.limit for result in failed) > 4


def test_dcgan_s_faults_fail_in_their_framework_alone(tmp_path, monkeypatch):
    copied(tmp_path, "dcgan_training")
    optimizer("adam", epsilon_place="tensorflow")(monkeypatch, torch_impl)
    d_loss("dcgan", lambda loss: loss / 2)(monkeypatch, tf_impl)
    failed = {(result.framework, result.quantity): result for result in failures(tmp_path)}
    assert ("Keras", "loss_D") in failed and ("torch", "loss_D") in failed
    assert failed["Keras", "loss_D"].error > 0.1 > 1e-9 > failed["torch", "loss_G"].limit


@pytest.mark.parametrize(
    ("d_updates", "place", "got"), [(4, 4, "G, the record's D"), (6, 5, "D, the record's G")], ids=["fewer", "more"]
)
def test_updates_in_another_order_fail_and_the_rest_is_not_judged(one, monkeypatch, d_updates, place, got):
    folder = one("lsgan")
    config("training", d_updates=d_updates)(monkeypatch, torch_impl)
    results = check(folder)
    failed = [result for result in results if not result.passed]
    assert [(result.framework, result.quantity) for result in failed] == [("torch", "order")]
    assert failed[0].message == f"specgan_training/lsgan/order: update {place} of torch is {got}"
    assert [result.quantity for result in results if result.framework == "Keras"] == ["order"]
    text = render(results)
    assert "not judged: specgan_training/lsgan: losses and weights, since the updates are not the record's" in text
    assert text.endswith("0 of 1 recorded arrays agree in Keras and torch")


def narrowed(content: dict, loss: str, **options) -> None:
    """The setting of another width and latent size, as the original would list it."""
    setting = content.pop(loss) | options
    dim, latent = setting["dim"], setting["latent"]

    def width(n: int) -> int:
        return n if n == 1 or n == 5 else n // 2 * dim  # dim is 2 in the project's own

    for network in ("generator_variables", "discriminator_variables"):
        for variable in setting[network]:
            variable[1] = [width(n) for n in variable[1]]
    setting["generator_variables"][0][1][0] = latent
    content["new"] = setting


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("wgan-gp", {"dim": 1, "batch": 3, "latent": 7, "seed": 77, "loops": 1, "disc_nupdates": 2}),
        ("lsgan", {"dim": 3, "batch": 2, "latent": 20, "seed": 78, "loops": 3, "disc_nupdates": 1}),
    ],
)
def test_a_record_never_seen_before_is_judged_like_the_others(one, loss, options):
    """Another width, batch, seed and rhythm: what torch's implementation makes of it, rounded, passes in both."""
    folder = one(loss)
    rewritten(folder / "specgan_training.json", lambda content: narrowed(content, loss, **options))
    record = read_folder(folder)["specgan_training"]
    setting = record.setting(SpecGANTrainingSetting, record.settings["new"])
    played = replay.specgan_training(record, "new", setting)[0]["torch"]
    arrays = {key: value.astype(np.float32) for key, value in played.arrays.items()} | {"order": np.array(played.order)}
    np.savez(folder / "specgan_training.npz", **{f"new/{key}": value for key, value in arrays.items()})
    results = check(folder)
    judged = [result for result in results if result.record == "specgan_training" and result.judgement != "abstain"]
    assert len(judged) == 2 * (1 + 2 + 24)
    assert [result.message for result in judged if not result.passed] == []


def test_a_dcgan_never_seen_before_is_judged_like_the_others(tmp_path):
    copied(tmp_path, "dcgan_training")

    def coloured(content):
        content |= {"seed": 5, "batch": 3, "steps": 2, "ch": 3, "latent": 9}
        for parameter in (content["generator_parameters"][-1], content["discriminator_parameters"][0]):
            parameter[1][1] = 3
        content["generator_parameters"][0][1][0] = 9

    rewritten(tmp_path / "dcgan_training.json", coloured)
    record = read_folder(tmp_path)["dcgan_training"]
    setting = record.setting(DCGANSetting, record.settings)
    made = replay.dcgan_training(record, setting)["torch"] | training.dcgan_first_forward(record, setting)["torch"]
    np.savez(tmp_path / "dcgan_training.npz", **{key: value.astype(np.float64) for key, value in made.items()})
    assert [result.message for result in failures(tmp_path)] == []


def limits_of(recorded: float, run: float, gaps, loss: str = "lsgan"):
    """The limits of two losses, of which only the second is not as recorded."""
    setting = SpecGANTrainingSetting(
        loss=loss, dim=1, batch=1, latent=1, seed=0, loops=1, disc_nupdates=1,
        generator_variables=[], discriminator_variables=[],
    )  # fmt: skip
    computed = {"Keras": {"D_loss": np.array([1.0, run])}}
    shown = ({"D_loss": np.array([0, gap])} for gap in gaps)
    return training._limits(setting, {"D_loss": np.array([1.0, recorded])}, computed, shown)["D_loss"].tolist()


def test_rounding_widens_a_limit_only_where_it_must_and_where_it_shows():
    usual = LIMITS["loss"]
    assert limits_of(0.5, 0.5, []) == [usual, usual]  # no float32 run is taken
    assert limits_of(0.5, 0.5 + 5e-6, [], "wgan-gp") == [LIMITS["wgan-gp loss"]] * 2
    assert limits_of(0.5, 0.5005, [0, 1e-4, 0.4]) == [usual, ROUNDING_LIMIT * 1e-4]  # after two runs that is enough
    assert limits_of(0.5, 0.5005, [0] * training.RUNS) == [usual, usual]
    assert limits_of(0.5, 0.509, [0.1]) == limits_of(0.5, 0.509, [np.inf]) == [usual, MOST]
    assert limits_of(0.5, 0.511, []) == [usual, usual]  # no rounding excuses that


def reset(**options):
    return edit(lambda content: content["wgan"].update(options))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("npz", drop("wgan/order"), "missing wgan/order"),
        ("npz", drop("wgan/G_loss"), "missing wgan/G_loss"),
        ("npz", drop("wgan/final/D/output/dense/bias"), "missing wgan/final/D/output/dense/bias"),
        ("npz", put("wgan/G_loss", np.ones(11)), r"wgan/G_loss has shape \(11,\), the settings imply \(12,\)"),
        ("npz", put("wgan/order", np.arange(12.0)), "wgan/order holds float64, expected text"),
        (
            "npz",
            put("wgan/order", np.array(list("DDDDDGDDDGDD"))),
            "update 9 is 'G', loops=2 and disc_nupdates=5 imply",
        ),
        ("npz", put("wgan/more", np.ones(3)), "wgan/more: training with these settings has no such quantity"),
        ("npz", put("stranger/G_loss", np.ones(12)), "stranger/G_loss belongs to no setting"),
        ("json", put("wgan", []), "setting 'wgan': expected an object, got list"),
        ("json", reset(loss="wgangp"), "loss is 'wgangp', did you mean wgan"),
        ("json", reset(disc_nupdates=0), "disc_nupdates is 0"),
        ("json", reset(disc_nupdates=1), r"wgan/order has shape \(12,\), the settings imply \(4,\)"),
        ("json", reset(loops=10**15), r"wgan/order has shape \(12,\), the settings imply"),
        ("json", reset(dim=3), r"wgan: variable G/z_project/dense/kernel is \(16, 512\), the network .* \(16, 768\)"),
        ("json", reset(seed=2**32 - 100), "seed is 4294967196"),
        ("json", reset(kernel_len=5), "unknown field kernel_len"),
        ("json", edit(lambda content: content["wgan"]["discriminator_variables"].pop()), "has no such quantity"),
    ],
)
def test_what_does_not_fit_the_training_record_s_format_is_one_clear_line(one, file, change, message):
    folder = one("wgan")
    change(folder / f"specgan_training.{file}")
    with pytest.raises(UnusableInput, match=message) as caught:
        check(folder)
    assert str(caught.value).startswith(str(folder / "specgan_training."))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("npz", drop("loss_G"), "missing loss_G"),
        ("npz", drop("final/G/1.running_var"), "missing final/G/1.running_var"),
        ("npz", put("final/G/99.weight", np.ones(3)), "final/G/99.weight: training with these settings has no such"),
        ("npz", put("final/D/0.weight", np.ones(3)), r"final/D/0.weight has shape \(3,\), the settings imply"),
        ("json", put("steps", 4), r"loss_D has shape \(3,\), the settings imply \(4,\)"),
    ],
)
def test_what_does_not_fit_the_dcgan_record_s_format_is_one_clear_line(tmp_path, file, change, message):
    copied(tmp_path, "dcgan_training")
    change(tmp_path / f"dcgan_training.{file}")
    with pytest.raises(UnusableInput, match=message) as caught:
        check(tmp_path)
    assert "\n" not in str(caught.value)


def test_readme_s_figures_are_the_limits():
    """Losses, losses under a penalty and final weights, in README.md's words."""
    text = (Path(replay.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert "training losses 1e-6 (wgan-gp: 1e-5" in text and LIMITS["loss"] == 1e-6 and LIMITS["wgan-gp loss"] == 1e-5
    assert "final weights 1e-5 relative" in text and LIMITS["final weight"] == 1e-5
    assert "misses by 1e-2 and more" in text and MOST == 1e-2


def test_a_setting_reads_what_the_record_lists(tmp_path):
    settings = json.loads((copied(tmp_path, "specgan_training") / "specgan_training.json").read_text())
    record = Record(tmp_path / "specgan_training", settings, {})
    assert all(record.setting(SpecGANTrainingSetting, settings[name], name).loss == name for name in settings)
