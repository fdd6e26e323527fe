"""Classes: known without decoding, balanced, as many as model.classes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from shared_impl.cli.main import run
from shared_impl.config.data import DataConfig
from shared_impl.config.systems import ConditionalDCGANConfig, DCGANConfig, SpecGANConfig
from shared_impl.data import image_sources
from shared_impl.data.classes import LISTED, Balanced
from shared_impl.data.errors import DataError
from shared_impl.data.source_interface import Source
from shared_impl.data.sources import open_source
from shared_impl.data.stream import Stream
from torch_impl.__main__ import load_framework

SIZES = {"few": 3, "many": 7, "one": 1}
LARGEST = 7
EPOCH = LARGEST * len(SIZES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Eleven images, each of its own grey, in three classes of different sizes."""
    path, number = tmp_path_factory.mktemp("uneven"), 0
    for name, size in SIZES.items():
        (path / name).mkdir()
        for _ in range(size):
            Image.new("L", (8, 8), 10 * number).save(path / name / f"{number:02}.png")
            number += 1
    return path


@pytest.fixture(scope="module")
def uneven(folder) -> Source:
    return open_source(DataConfig(source=f"images:{folder}"), DCGANConfig())


def shown(source: Source, count: int, batch_size: int = 7, seed: int = 0, **options) -> list[tuple[int, int]]:
    """Which image, and its class, of every example of the first batches."""
    with Stream(source, batch_size, seed, balance=True, **options) as stream:
        return pairs([next(stream) for _ in range(count)])


def pairs(batches):
    return [
        (int(x[0, 0, 0]) // 10, int(label))
        for batch in batches
        for x, label in zip(batch["x"], batch["label"], strict=True)
    ]


def test_every_class_is_shown_as_often_as_the_largest(uneven):
    found = shown(uneven, 6)
    for epoch in (found[:EPOCH], found[EPOCH:]):
        assert Counter(label for _, label in epoch) == dict.fromkeys(range(3), LARGEST)
        assert set(epoch) == {(n, 0 if n < 3 else 1 if n < 10 else 2) for n in range(11)}
        counts = Counter(image for image, _ in epoch)
        assert all(counts[image] in (2, 3) for image in range(3))  # 7 of 3
        assert all(counts[image] == 1 for image in range(3, 10)) and counts[10] == 7
    assert found[:EPOCH] != found[EPOCH:]


def test_over_epochs_no_example_falls_behind(uneven):
    counts = Counter(image for image, _ in shown(uneven, 9))
    assert [counts[image] for image in range(3)] == [LARGEST] * 3  # three epochs of 7 are 7 for each of three
    later = Counter(image for image, _ in shown(uneven, 30))
    assert max(later[image] for image in range(3)) - min(later[image] for image in range(3)) <= 1


def test_an_unbalanced_stream_shows_what_there_is(uneven):
    with Stream(uneven, 11, 0) as stream:
        assert Counter(label for _, label in pairs([next(stream)])) == {0: 3, 1: 7, 2: 1}


def test_the_length_of_an_epoch_follows(uneven):
    assert Stream(uneven, 7, 0, balance=True).epoch_batches == EPOCH / 7
    assert Stream(uneven, 7, 0).epoch_batches == 11 / 7


def test_the_seed_decides_who_is_repeated():
    classes = np.repeat([0, 1], [50, 99])
    found = {seed: [Balanced(classes, seed)(0, place) for place in range(2 * 99)] for seed in (0, 1)}
    twice = {seed: {n for n, times in Counter(found[seed]).items() if times == 2} for seed in found}
    assert len(twice[0]) == len(twice[1]) == 49 and twice[0] != twice[1]
    assert found[0] == [Balanced(classes, 0)(0, place) for place in range(2 * 99)]


def test_a_class_without_examples_is_left_out():
    examples = Balanced(np.array([4, 4, 0, 4]), 0)
    assert sorted(examples(0, place) for place in range(len(examples))) == [0, 1, 2, 2, 2, 3]


@pytest.mark.parametrize("options", [{"workers": 2}, {"prefetch": 9}])
def test_workers_change_nothing(uneven, options):
    assert shown(uneven, 8, **options) == shown(uneven, 8)


@pytest.mark.parametrize("devices", [2, 3])
def test_devices_share_the_same_batches(uneven, devices):
    whole, size = shown(uneven, 8, batch_size=6), 6 // devices
    parts = [shown(uneven, 8, batch_size=6, shard=(device, devices)) for device in range(devices)]
    for batch in range(8):
        joined = [pair for part in parts for pair in part[batch * size : (batch + 1) * size]]
        assert joined == whole[batch * 6 : (batch + 1) * 6]


def test_a_saved_position_is_picked_up_exactly(uneven):
    whole = shown(uneven, 12)
    with Stream(uneven, 7, 0, balance=True, shard=(0, 7)) as stream:
        for _ in range(5):
            next(stream)
        state = json.loads(json.dumps(stream.state()))
    with Stream(uneven, 7, 0, balance=True, workers=1) as stream:
        stream.restore(state)
        assert pairs([next(stream) for _ in range(7)]) == whole[35:]


def test_the_position_of_another_stream_is_rejected(uneven):
    plain, even = Stream(uneven, 7, 0), Stream(uneven, 7, 0, balance=True)
    for stream, state, message in (
        (plain, even, "got True, expected False"),
        (even, plain, "got False, expected True"),
    ):
        with pytest.raises(DataError, match=f"the saved position belongs to another stream .balance: {message}"):
            stream.restore(state.state())


def test_a_position_saved_before_there_was_a_choice_is_that_of_a_plain_stream(uneven):
    stream = Stream(uneven, 7, 0)
    stream.restore({name: value for name, value in stream.state().items() if name != "balance"})
    with pytest.raises(DataError, match="balance: got False, expected True"):
        Stream(uneven, 7, 0, balance=True).restore({**stream.identity(), "batches": 1})


def test_a_run_counts_its_epochs_by_what_it_shows(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preset = ["train", "dcgan_tiny", "model.ngf=1", "model.ndf=1", "training.epochs=1", "runs.samples=1"]
    preset += ["training.batch_size=10", "runs.tensorboard=false"]
    for balance, steps in (("false", 2), ("true", 3)):  # of 11 and of 21 examples
        words = [
            *preset,
            f"data.source=images:{folder}",
            f"data.balance={balance}",
            "training.batch_size=10",
            "runs.tensorboard=false",
        ]
        assert run("torch_impl", load_framework, words) == 0
        (made,) = Path("runs").glob(f"*/checkpoints/step-{steps:08d}")
        made.rename(tmp_path / balance)


def labelled(tmp_path, case, **options):
    """A source without classes, one where one file has none."""
    for name in ("a", "b") if case == "unlabelled" else ():
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "x.png")
    Image.new("L", (8, 8)).save(tmp_path / "loose.png")
    return DataConfig(source=f"images:{tmp_path}", **options)


def test_balance_needs_classes(tmp_path):
    source = open_source(labelled(tmp_path, "none"), DCGANConfig())
    with pytest.raises(DataError, match=r"images:.*: data.balance=true, but there are no classes: a subfolder"):
        Stream(source, 1, 0, balance=True)


def test_balance_needs_the_class_of_every_example(tmp_path):
    source = open_source(labelled(tmp_path, "unlabelled"), DCGANConfig())
    with pytest.raises(DataError, match=r"balance=true needs .*, but 1 of 3 have none \(the first is .*loose.png\)"):
        Stream(source, 1, 0, balance=True)


def conditional(classes):
    return ConditionalDCGANConfig(classes=classes, nc=1, image_size=32)


def test_model_classes_must_be_the_number_of_classes(folder):
    data = DataConfig(source=f"images:{folder}")
    assert open_source(data, conditional(3)).labels == ["few", "many", "one"]
    with pytest.raises(
        DataError, match=r"model.classes=6 classes, but there are 3 \(few, many, one\): use model.classes=3"
    ):
        open_source(data, conditional(6))


def test_a_conditional_model_needs_data_with_classes(tmp_path):
    with pytest.raises(DataError, match=r"model.classes=6 classes, but there are none: a subfolder for each class"):
        open_source(labelled(tmp_path, "none"), conditional(6))


def test_a_conditional_model_needs_the_class_of_every_example(tmp_path):
    with pytest.raises(DataError, match=r"\(model.classes=2\), but 1 of 3 have none \(the first is .*loose.png\)"):
        open_source(labelled(tmp_path, "unlabelled"), conditional(2))


def test_many_classes_are_counted(tmp_path):
    for number in range(LISTED + 5):
        (tmp_path / str(number)).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / str(number) / "x.png")
    with pytest.raises(DataError, match=rf"\(0, 1, .* {LISTED - 1} and 5 more\): use model.classes={LISTED + 5}"):
        open_source(DataConfig(source=f"images:{tmp_path}"), conditional(6))


@pytest.fixture
def sounds(tmp_path):
    for number, name in enumerate(("a", "b", "a")):
        (tmp_path / name).mkdir(exist_ok=True)
        soundfile.write(tmp_path / name / f"{number}.wav", np.full((number + 1) * 16384, 0.1), 16000)
    return open_source(DataConfig(source=f"audio:{tmp_path}", random_offset=False), SpecGANConfig())


def test_the_class_of_every_example_is_known(uneven, sounds):
    digits = open_source(DataConfig(source="digits"), DCGANConfig())
    for source in (uneven, sounds, digits):
        numbers = range(0, len(source), 1 + len(source) // 50)
        assert [source.classes[i] for i in numbers] == [source[i]["label"] for i in numbers]
        assert (source.classes.dtype, source.classes.shape) == (np.int64, (len(source),))
    assert sounds.classes.tolist() == [0, 0, 0, 0, 1, 1]


def test_nothing_is_decoded_for_it(uneven, folder, monkeypatch):
    fresh = open_source(DataConfig(source=f"images:{folder}"), DCGANConfig())
    monkeypatch.setattr(image_sources.Squares, "__call__", lambda *_: pytest.fail("decoded"))
    assert fresh.classes.tolist() == uneven.classes.tolist() == [0] * 3 + [1] * 7 + [2]
