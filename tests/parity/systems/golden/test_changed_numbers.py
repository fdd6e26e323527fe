"""One changed number in any golden record fails by name in both frameworks, with both values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from parity.systems.golden import check, render
from parity.systems.golden.draws import specgan_weights
from parity.systems.golden.limits import LIMITS
from parity.systems.golden.text import SHOWN_FAILURES
from tests.parity.systems.golden.copies import copied, failures, rewritten

pytestmark = pytest.mark.usefixtures("replayed_once")


def detectable(folder, quantity: str, amount: float, unit: float) -> float:
    """``amount``, or the least that exceeds the limit where float32 kernels round more than those it was chosen with.

    ``unit`` is what a relative error of one is in the recorded array.
    """
    unchanged = [result for result in check(folder) if result.quantity == quantity]
    return max(amount, 1.01 * unit * max(result.limit + result.error for result in unchanged))


@pytest.mark.parametrize("quantity", ["first_fake", "first_logits"])
def test_changed_dcgan_output_fails_in_both_frameworks(dcgan, quantity):
    value = []

    def change(arrays):
        arrays[quantity].flat[3] *= 1 + 1e-9
        value.append(arrays[quantity].flat[3])

    rewritten(dcgan / "dcgan_training.npz", change)
    failed = failures(dcgan)
    assert [(result.framework, result.quantity) for result in failed] == [("Keras", quantity), ("torch", quantity)]
    for result in failed:
        assert np.ravel_multi_index(result.index, (4, 1, 64, 64)[: len(result.index)]) == 3
        assert result.expected == value[0] != result.got
        assert f"dcgan_training/{quantity}: {result.framework} is" in result.message
        assert "the record itself stands apart" in result.message


@pytest.mark.parametrize(
    ("quantity", "place"),
    [("loss_D", 2), ("loss_G", 0), ("final/G/6.weight", 100), ("final/D/9.running_var", 3)],
)
def test_changed_dcgan_training_fails_in_both_frameworks(dcgan, quantity, place):
    rewritten(dcgan / "dcgan_training.npz", lambda arrays: arrays[quantity].flat.__setitem__(place, 0.123456789))
    failed = failures(dcgan)
    assert [(result.framework, result.quantity) for result in failed] == [("Keras", quantity), ("torch", quantity)]
    assert all("expected 0.123456789; Keras and torch agree" in result.message for result in failed)


def test_changed_count_of_batches_fails_in_torch_which_alone_keeps_it(dcgan):
    key = "final/D/6.num_batches_tracked"
    rewritten(dcgan / "dcgan_training.npz", lambda arrays: arrays.__setitem__(key, np.array(6.0)))
    results = check(dcgan)
    failed = [result for result in results if not result.passed]
    assert [(result.framework, result.quantity, result.got) for result in failed] == [("torch", key, 9.0)]
    row = next(line for line in render(results).splitlines() if key in line)
    assert row.split()[1:] == [key, "-", "5.0e-01", "1e-10", "FAIL"]


def test_long_list_of_failures_is_cut_and_counted(dcgan):
    rewritten(dcgan / "dcgan_training.npz", lambda arrays: arrays["first_fake"].__imul__(2))
    failed = failures(dcgan)
    text = render(failed * SHOWN_FAILURES)
    assert text.count("\nFAIL ") == SHOWN_FAILURES
    assert f"... and {len(failed) * SHOWN_FAILURES - SHOWN_FAILURES} more failures" in text


def test_records_that_a_folder_lacks_are_named(dcgan):
    absent = [result.record for result in check(dcgan) if "not in" in result.message]
    assert absent == ["specgan_forward", "specgan_training", "specgan_spectrogram"]


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("generator_output", 1e-4),
        ("discriminator_logits", 1e-4),
        ("after/G/z_project/batch_normalization/moving_mean", 2e-6),
        ("after/G/upconv_2/batch_normalization/moving_variance", 2e-6),
    ],
)
def test_changed_specgan_output_fails_in_both_frameworks(specgan, quantity, amount):
    def change(arrays):
        recorded = arrays[f"batchnorm_train/{quantity}"]
        recorded.flat[1] += detectable(specgan, quantity, amount, np.abs(recorded).max())

    rewritten(specgan / "specgan_forward.npz", change)
    results = check(specgan)
    failed = [result for result in results if not result.passed]
    assert [(result.framework, result.quantity) for result in failed] == [("Keras", quantity), ("torch", quantity)]
    assert all(result.setting == "batchnorm_train" and result.error > result.limit for result in failed)
    text = render(results)
    assert f"FAIL specgan_forward/batchnorm_train/{quantity}: torch is" in text
    assert "11 of 12 recorded arrays agree" in text


def test_biased_running_variance_in_the_record_fails(specgan):
    """The limit tells TF 1's unbiased variance from Keras 3's biased one: n/(n-1) is 1 + 1/31 after z_project."""

    def change(arrays):
        key = "batchnorm_train/after/G/z_project/batch_normalization/moving_variance"
        drawn = dict(specgan_weights(settings["generator_variables"], settings["seed"]))
        old = 0.99 * drawn["G/z_project/batch_normalization/moving_variance"]
        arrays[key] = (old + (arrays[key] - old) * 31 / 32).astype(np.float32)

    settings = json.loads((specgan / "specgan_forward.json").read_text())["batchnorm_train"]
    rewritten(specgan / "specgan_forward.npz", change)
    failed = failures(specgan)
    assert {result.quantity for result in failed} == {"after/G/z_project/batch_normalization/moving_variance"}
    assert all(result.error > 1000 * LIMITS["moving-average"] for result in failed)


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
def test_changed_specgan_training_fails_in_both_frameworks(training, loss, quantity, factor):
    folder, values = training(loss), []

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


@pytest.mark.parametrize("name", ["", "quick"])
@pytest.mark.parametrize(
    ("quantity", "index", "amount"),
    [
        ("mean", (5,), 2e-5),
        ("std", (128,), 3e-5),
        ("spectrogram", (2, 31, 17, 0), 4e-4),
        ("griffin_lim", (1, 9000, 0), 5e-3),
        ("image", (3, 100, 90, 0), 1),
    ],
)
def test_changed_spectrogram_fails_in_both_frameworks(tmp_path, name, quantity, index, amount):
    """In the unnamed set, and in a named one, which the message names."""
    copied(tmp_path, "specgan_spectrogram")
    prefix = f"{name}_" if name else ""

    def change(arrays):
        recorded = arrays[quantity]
        unit = np.linalg.norm(recorded[index[0]]) if quantity == "griffin_lim" else np.abs(recorded).max()
        recorded[index] += amount if quantity == "image" else detectable(tmp_path, quantity, amount, unit)
        for key in list(arrays):
            arrays[prefix + key] = arrays.pop(key)

    rewritten(tmp_path / "specgan_spectrogram.npz", change)
    failed = {(result.quantity, result.framework): result for result in failures(tmp_path)}
    assert {key for key in failed if key[0] == quantity} == {(quantity, "Keras"), (quantity, "torch")}
    for framework in ("Keras", "torch"):
        result = failed[quantity, framework]
        assert result.index == index and result.setting == name
        assert result.error > result.limit
        where = "/".join(filter(None, ["specgan_spectrogram", name, quantity]))
        assert result.message.startswith(f"{where}: {framework} is ")
        assert "the record itself stands apart" in result.message
    share = "25.00% of the clips beyond it" if quantity == "griffin_lim" else "% of the values beyond it"
    assert share in failed[quantity, "Keras"].message
