"""Progressive growing: which stage a step belongs to, what each stage computes, runs that stop within a fade."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch

import tf_impl
import tf_impl.checkpoints
import tf_impl.growing
import tf_impl.trainer
import torch_impl
import torch_impl.checkpoints
import torch_impl.growing
import torch_impl.trainer
from parity.systems.conversion import to_keras, to_torch
from parity.systems.conversion.networks import source
from parity.systems.training import drawn_data
from parity.systems.training.noise import cancelled, owner
from shared_impl.cli.main import run
from shared_impl.config.presets import ConfigError
from shared_impl.config.presets import load as configured
from shared_impl.config.systems import ConditionalDCGANConfig, UpsampleDCGANConfig
from shared_impl.config.training import total_steps
from shared_impl.storage.checkpoints import CheckpointError, latest, load
from shared_impl.storage.metrics_log import WALL_CLOCK
from shared_impl.storage.run_folder import CHECKPOINTS
from shared_impl.training import growing
from shared_impl.training.replicas import validate_even_split
from tf_impl.layers import precision

MODELS = {
    "upsample_dcgan": UpsampleDCGANConfig(nz=6, ngf=2, ndf=2, growing=(8, 32)),
    "conditional_dcgan": ConditionalDCGANConfig(nz=6, ngf=2, ndf=2, image_size=32, growing=(8, 16)),
}
NETWORKS = ("generator", "discriminator")
# Three stages of four steps: 8 pixels; 32, fading in over steps 4 and 5; 64, over steps 8 and 9.
GROWS = ["model.growing=[8,32]", "training.batch_size=4", "training.stage_steps=4", "training.stage_batches=[12,8]"]
TINY = ["model.nz=6", "model.ngf=2", "model.ndf=2", "training.precision=float64"]
FADING = 5  # steps after which the second stage is half faded in
FADED = ("training.ema=0.9", "training.instance_noise=0.1")
IMPLEMENTATIONS = {
    "tensorflow": (tf_impl.trainer.Trainer, tf_impl.checkpoints, to_torch),
    "torch": (torch_impl.trainer.Trainer, torch_impl.checkpoints, to_keras),
}
# float64 twins keep together to 2.5e-13 over 200 steps at this size; a step of a wrong weight shows at 1e-4.
SAME = 1e-10


def config_of(*words):
    return configured("upsample_dcgan_tiny", [*TINY, *GROWS, "training.steps=12", *words])


def new_trainer(framework, config):
    return IMPLEMENTATIONS[framework][0](config, 12)


def train(framework, trainer, first, last, arrays=None):
    """The state after those steps, from the trainer's own state or another."""
    files = IMPLEMENTATIONS[framework][1]
    if arrays is not None:
        files.restore(trainer, arrays)
    batches = drawn_data.batches(trainer.config, growing.batches_before(trainer.config, first))
    for step in range(first, last):
        trainer.step(step, batches)
    return files.state(trainer)


@cache
def uninterrupted(framework):
    """The states of one run of :func:`config_of` :data:`FADED` after 0, FADING, FADING + 1 and 10 steps."""
    trainer = new_trainer(framework, config_of(*FADED))
    stops = (0, FADING, FADING + 1, 10)
    return {last: train(framework, trainer, first, last) for first, last in pairwise((0, *stops))}


def differing(one, other):
    return [name for name, array in one.items() if array.tobytes() != other[name].tobytes()]


def apart(one, other, framework, config):
    """How far two states are, but for biases that batch norm subtracts again, whose gradient is rounding, and the
    running means, which hold those biases.
    """
    one, other = (to_keras(state, config) if framework == "torch" else state for state in (one, other))
    compared = [name for name in one if owner(name) not in cancelled(config) and not name.endswith("moving_mean")]
    assert len(one) > len(compared) > len(one) / 2
    return max(np.abs(one[name] - other[name]).max() for name in compared)


@pytest.mark.parametrize(
    ("step", "stage", "weights", "side", "portions"),
    [
        (0, 0, (), 8, 3),
        (3, 0, (), 8, 3),
        (4, 1, (1 / 3,), 32, 2),
        (5, 1, (2 / 3,), 32, 2),
        (6, 1, (1.0,), 32, 2),
        (7, 1, (1.0,), 32, 2),
        (8, 2, (1.0, 1 / 3), 64, 1),
        (10, 2, (1.0, 1.0), 64, 1),
        (1000, 2, (1.0, 1.0), 64, 1),
    ],
)
def test_each_step_has_its_stage_weights_and_batch(step, stage, weights, side, portions):
    config = config_of()
    assert growing.stage(config, step) == stage and growing.weights(config, step) == pytest.approx(weights)
    assert (growing.side(config, step), growing.portions(config, step)) == (side, portions)
    assert growing.begins_stage(config, step) == (step in (4, 8))
    assert growing.weights_after(config, step + 1, 2).tolist() == [[*growing.weights(config, step), 0.0, 0.0][:2]] * 2


def test_a_network_that_does_not_grow_has_one_stage():
    config = configured("dcgan_tiny")
    for step in (0, 5000):
        assert (growing.stage(config, step), growing.weights(config, step), growing.begins_stage(config, step)) == (
            0,
            (),
            False,
        )
        assert (growing.side(config, step), growing.portions(config, step)) == (64, 1)
        assert growing.batches_before(config, step) == step * config.training.d_updates
    assert growing.weights_after(config, 7, 3).shape == (3, 0)


def test_batches_before_a_step_and_the_end_of_growing_are_known():
    config = config_of("training.reuse_fakes=false", "training.d_updates=2")
    taken = [2 * growing.portions(config, step) for step in range(15)]
    assert [growing.batches_before(config, step) for step in range(16)] == [sum(taken[:step]) for step in range(16)]
    assert [steps for steps in range(15) if growing.is_grown(config, steps)] == [11, 12, 13, 14]
    assert (
        not config.advice()
        and "ends before the networks have grown to 64x64" in config_of("training.steps=10").advice()[0]
    )


@pytest.mark.parametrize(("epochs", "steps"), [(1, 5), (2, 13), (3, 26)])
def test_epochs_count_the_examples_of_joined_batches(epochs, steps):
    training = config_of().training.model_copy(update={"steps": None, "epochs": epochs})
    assert total_steps(training, 50) == steps  # four of 12, four of 8, and then 4 examples a step
    assert total_steps(training.model_copy(update={"stage_batches": ()}), 50) == -(-epochs * 50 // 4)


def test_joined_batches_are_those_of_the_stream():
    numbers = ({"x": np.full((2, 1), i), "label": np.full(2, i)} for i in range(9))
    assert growing.joined(numbers, 1)["x"][:, 0].tolist() == [0, 0]
    assert growing.joined(numbers, 3)["label"].tolist() == [1, 1, 2, 2, 3, 3]


def test_a_chain_is_cut_at_its_sizes():
    names = ["z", "up_0_resize", "up_0", "up_0_bn", "attention_4", "up_1_pad", "up_1", "up_10"]
    assert growing.sections(names, "up") == [names[:5], names[5:]]
    heads = ["generator/to_8/kernel", "from_16.weight", "ema/body/to_64/bias"]
    assert all(map(growing.is_head, heads)) and not growing.is_head("generator/upconv_0/kernel")


@pytest.mark.parametrize(
    ("preset", "words", "message"),
    [
        ("upsample_dcgan", ["model.growing=[8,12]"], "growing=[8, 12]: expected some of 8, 16, 32, in that order"),
        ("upsample_dcgan", ["model.growing=[8,64]"], "in that order, before 64x64"),
        ("upsample_dcgan", ["model.growing=[16,8]"], "growing=[16, 8]: expected some of 8, 16, 32, in that order"),
        ("conditional_dcgan_tiny", ["model.growing=[8,8]"], "growing=[8, 8]: expected some of 8, 16, in that order"),
        ("conditional_dcgan", ["model.growing=[8]", "model.scales=2"], "what grows has scales=1"),
        ("dcgan", ["model.growing=[8]"], "unknown field model.growing"),
        ("specgan", ["model.growing=[8]"], "unknown field model.growing"),
        (
            "upsample_dcgan",
            ["model.growing=[8,16]", "training.stage_batches=[256]"],
            "training.stage_batches=[256]: expected a batch size for each of model.growing=[8, 16], or none",
        ),
        ("dcgan", ["training.stage_batches=[256]"], "expected a batch size for each of model.growing=[], or none"),
        (
            "upsample_dcgan",
            ["model.growing=[8]", "training.stage_batches=[200]"],
            "stage_batches has 200: expected multiples of batch_size=128",
        ),
    ],
)
def test_growing_options_that_do_not_fit_are_rejected_in_one_line(preset, words, message):
    with pytest.raises(ConfigError) as refused:
        configured(preset, words)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_growing_on_several_devices_is_rejected():
    validate_even_split(config_of(), 1)
    with pytest.raises(ConfigError, match=r"model.growing=\[8, 32\]: networks grow on one device, got 2; train on one"):
        validate_even_split(config_of(), 2)


def built(implementation, system, network, **changes):
    """A network, and a function from and to NumPy arrays in Keras's layout."""
    model = MODELS[system].model_copy(update=changes)
    if implementation == "tensorflow":
        with precision("float64"):
            reference = tf_impl.build(model, network)
        return reference, lambda *given: np.asarray(reference(given[0] if len(given) == 1 else list(given)))
    torch.manual_seed(0)
    port = torch_impl.build(model, network).double().eval()

    def computed(*given):
        tensors = [torch.from_numpy(np.moveaxis(x, -1, 1) if x.ndim == 4 else x) for x in given]
        with torch.no_grad():
            made = port(*tensors)
        return (made.movedim(1, -1) if made.ndim == 4 else made).numpy()

    return port, computed


def weights_of(implementation, network):
    return (tf_impl if implementation == "tensorflow" else torch_impl).checkpoints.weights(network)


def given_to(system, network, count=3):
    """Latents or images, and classes."""
    rng, model = np.random.RandomState(0), MODELS[system]
    first = rng.standard_normal(
        (count, model.nz) if network == "generator" else (count, model.side, model.side, model.nc)
    )
    return [first, rng.randint(0, model.classes, count)] if model.labels else [first]


def coarse(images, size):
    """Means of what falls into each of size x size pixels, enlarged again."""
    ratio = images.shape[1] // size
    means = images.reshape(len(images), size, ratio, size, ratio, -1).mean((2, 4))
    return means.repeat(ratio, 1).repeat(ratio, 2)


EVERY = [(implementation, system) for implementation in IMPLEMENTATIONS for system in MODELS]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("implementation", "system"), EVERY)
def test_the_settled_last_stage_equals_the_network_that_does_not_grow(implementation, system, network):
    grows, growing_network = built(implementation, system, network)
    plain, plain_network = built(implementation, system, network, growing=())
    arrays, slots = weights_of(implementation, grows), weights_of(implementation, plain)
    assert [name for name in arrays if not growing.is_head(name)] == list(slots)
    for name, slot in slots.items():
        slot.assign(arrays[name]) if implementation == "tensorflow" else slot.data.copy_(arrays[name].data)
    given = given_to(system, network)
    expected = plain_network(*given)
    np.testing.assert_array_equal(growing_network(*given, np.ones((3, 2))), expected)
    for weights in ([1.0, 0.9], [0.9, 0.5]):
        assert np.abs(growing_network(*given, np.tile(weights, (3, 1))) - expected).max() > 1e-6


@pytest.mark.parametrize(("implementation", "system"), EVERY)
def test_a_generator_fades_from_one_size_to_the_next(implementation, system):
    _, generated = built(implementation, system, "generator")
    given, sizes = given_to(system, "generator"), MODELS[system].growing
    first = generated(*given, np.empty((3, 0)))
    np.testing.assert_allclose(first, coarse(first, sizes[0]), atol=1e-12)  # blocks of one colour each
    second = generated(*given, np.ones((3, 1)))
    np.testing.assert_allclose(second, coarse(second, sizes[1]), atol=1e-12)
    assert np.abs(second - coarse(second, sizes[0])).max() > 1e-6
    shares = np.array([0.0, 0.25, 1.0])  # each example by its own
    blended = generated(*given, shares[:, None])
    shares = shares[:, None, None, None]
    np.testing.assert_allclose(blended, (1 - shares) * first + shares * second, atol=1e-12)
    np.testing.assert_allclose(generated(*given, np.tile([1.0, 0.0], (3, 1))), second, atol=1e-12)


@pytest.mark.parametrize(("implementation", "system"), EVERY)
def test_a_discriminator_ignores_detail_beyond_its_stage(implementation, system):
    _, discriminator = built(implementation, system, "discriminator")
    (images, *label), (small, middle) = given_to(system, "discriminator"), MODELS[system].growing
    for size, weights in ((small, []), (small, [0.0]), (middle, [1.0]), (middle, [1.0, 0.0])):
        grown = np.tile(weights, (3, 1))
        scores = discriminator(images, *label, grown)
        np.testing.assert_allclose(discriminator(coarse(images, size), *label, grown), scores, rtol=1e-9)
    scores = discriminator(images, *label, np.ones((3, 1)))
    assert np.abs(discriminator(coarse(images, small), *label, np.ones((3, 1))) - scores).max() > 1e-9


def test_real_images_are_averaged_and_faded_like_generated_ones():
    images = np.random.RandomState(1).standard_normal((2, 16, 16, 3))
    share = np.array([0.25, 0.5])[:, None, None, None]
    for weights, expected in (
        (np.empty((2, 0)), coarse(images, 4)),
        (share[:, 0, 0], (1 - share) * coarse(images, 4) + share * coarse(images, 8)),
        (np.c_[np.ones(2), share[:, 0, 0, 0]], (1 - share) * coarse(images, 8) + share * images),
    ):
        got = tf_impl.growing.images_at_stage(tf.constant(images), (4, 8, 16), tf.constant(weights)).numpy()
        as_torch = torch.from_numpy(images).movedim(-1, 1)
        port = torch_impl.growing.images_at_stage(as_torch, (4, 8, 16), torch.from_numpy(weights))
        np.testing.assert_allclose(got, expected, atol=1e-14)
        np.testing.assert_allclose(port.movedim(1, -1).numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("kind", ["adam", "rmsprop"])
@pytest.mark.parametrize("framework", IMPLEMENTATIONS)
def test_layers_stay_still_until_their_stage_and_optimisers_restart_with_it(framework, kind):
    config = config_of(f"optimizer.kind={kind}")
    trainer = new_trainer(framework, config)
    start = train(framework, trainer, 0, 0)
    before = train(framework, trainer, 0, 4)
    moved = {name.split("/")[1].split(".")[0] for name in differing(start, before) if "optimizer" not in name}
    assert moved == {"z_project", "upconv_0", "upconv_0_bn", "to_8", "from_8", "downconv_3", "downconv_3_bn", "output"}
    after = train(framework, trainer, 4, 5)
    assert (before["d_optimizer/updates"], after["d_optimizer/updates"], after["g_optimizer/updates"]) == (4, 1, 1)
    if kind == "adam":
        name = "generator/upconv_1/kernel" if framework == "tensorflow" else "generator/upconv_1.weight"
        longest = np.abs(after[name] - before[name]).max()
        assert 0 < longest <= config.optimizer.lr * (1 + 1e-6)  # one step of a fresh Adam


@pytest.mark.slow
@pytest.mark.parametrize("framework", IMPLEMENTATIONS)
def test_a_run_stopped_within_a_fade_resumes_bit_for_bit(framework):
    states, trainer = uninterrupted(framework), new_trainer(framework, config_of(*FADED))
    resumed = train(framework, trainer, FADING, 10, states[FADING])
    assert differing(states[10], resumed) == []
    assert differing(resumed, train(framework, trainer, FADING + 1, 10, states[FADING]))


@pytest.mark.parametrize("here", IMPLEMENTATIONS)
def test_a_run_converted_within_a_fade_continues_in_the_other_framework(here):
    there = next(name for name in IMPLEMENTATIONS if name != here)
    config = config_of(*FADED)
    converted = IMPLEMENTATIONS[here][2](uninterrupted(here)[FADING], config)
    continued = train(there, new_trainer(there, config), FADING, 10, converted)
    assert apart(uninterrupted(there)[10], continued, there, config) <= SAME


def test_a_fade_one_step_late_is_detected(monkeypatch):
    config, states = config_of(*FADED), uninterrupted("torch")
    expected = to_torch(uninterrupted("tensorflow")[FADING + 1], config)
    assert apart(expected, states[FADING + 1], "torch", config) <= SAME
    weights = growing.weights
    monkeypatch.setattr(growing, "weights", lambda config, step: weights(config, step - (step == FADING)))
    late = train("torch", new_trainer("torch", config), FADING, FADING + 1, states[FADING])
    assert apart(expected, late, "torch", config) > 1e5 * SAME


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["tf_impl", "torch_impl"])
def test_a_command_line_run_samples_saves_and_resumes_at_its_stage(implementation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def command(*words):
        return run(
            implementation, __import__(f"{implementation}.__main__", fromlist=["load_framework"]).load_framework, words
        )

    words = ["upsample_dcgan_tiny", *TINY, *GROWS, "runs.log_every=1", "runs.samples=4", "training.ema=0.5"]
    assert command("train", *words, f"training.steps={FADING}") == 0
    assert command("train", *words, "training.steps=12") == 0
    checkpoint = load(latest(Path("runs/0001-upsample_dcgan_tiny") / CHECKPOINTS))
    sampler = __import__(f"{implementation}.generate", fromlist=["Sampler"]).Sampler(checkpoint)
    z = np.random.RandomState(2).standard_normal((3, 6))
    images = sampler.images(z)
    np.testing.assert_allclose(images, coarse(images, 32), atol=1e-6)  # of float32
    with pytest.raises(CheckpointError, match="after 5 steps the networks are still growing through 8, 32, 64 pixels"):
        source(checkpoint, "generator")
    assert command("train", "1", "training.steps=12", "--resume") == 0
    first, second = (Path(f"runs/000{i}-upsample_dcgan_tiny") for i in (1, 2))
    logged = [
        [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()] for path in (first, second)
    ]
    for line in (line for lines in logged for line in lines):
        for name in WALL_CLOCK:
            del line[name]
    assert logged[0] == logged[1] and [line["epoch"] for line in logged[0]][3::4] == pytest.approx(
        [48 / 1797, 80 / 1797, 96 / 1797]
    )
    resumed, straight = (load(latest(path / CHECKPOINTS)) for path in (first, second))
    assert differing(resumed.arrays, straight.arrays) == []
    whole = source(straight, "generator")
    assert not whole.config.model.growing and not any(map(growing.is_head, whole.arrays))
    sampled = __import__(f"{implementation}.generate", fromlist=["Sampler"]).Sampler(straight).images(z)
    np.testing.assert_allclose(whole.function("float32")(z.astype(np.float32)), sampled, atol=1e-6)
