"""Evaluation: digits are recognised among digits, drums among drums, noise among neither."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from shared_impl.config.presets import load
from shared_impl.data import drums
from shared_impl.data.sources import open_source
from shared_impl.sampling.clip_evaluation import clips_report, levels, log_spectral_distance, nearest_distances
from shared_impl.sampling.evaluation import evaluate
from shared_impl.sampling.evaluation_report import HELD_OUT, held_out
from shared_impl.sampling.image_evaluation import NEEDED, ImageClassifier, cell_means

RANDOM = np.random.RandomState(0)
NAMES = list(drums.DRUMS)


@cache
def digits():
    config = load("dcgan")
    return open_source(config.data, config.model)


@cache
def real_digits():
    examples = [digits()[index] for index in range(len(digits()))]
    return np.stack([example["x"] for example in examples]), np.array([example["label"] for example in examples])


@cache
def classifier():
    return ImageClassifier(*real_digits())


@cache
def hits(first, count):
    """``count`` clips of each drum, and their names."""
    clips = [drums.clip(name, number) for name in NAMES for number in range(first, first + count)]
    return np.stack(clips), [name for name in NAMES for _ in range(count)]


def test_the_classifier_is_right_about_held_out_digits():
    assert classifier().accuracy > 0.97  # five-fold: 98.4 %
    assert classifier().confident > 0.9  # five-fold: 94.8 %


def test_real_digits_are_recognised_and_all_classes_found():
    images, labels = real_digits()
    report = classifier().report(images[held_out(len(images))])
    assert report.figures["recognisable"] and report.figures["missing"] == []
    assert report.figures["confident"] == classifier().confident
    assert report.figures["smallest_class"] > 0.05
    assert sum(report.figures["classes"].values()) == pytest.approx(1)
    assert "all 10 classes are found" in report.text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda images: RANDOM.randint(0, 256, images.shape).astype(np.uint8),
        lambda images: RANDOM.permutation(images.reshape(-1, 8, 8, 8, 8).transpose(1, 3, 0, 2, 4)).transpose(
            2, 0, 3, 1, 4
        ),
        lambda images: np.zeros_like(images),
        lambda images: 255 - images,
        lambda images: images // 2 + images[::-1] // 2,
    ],
    ids=["noise", "shuffled", "black", "negative", "blended"],
)
def test_what_is_no_digit_is_not_recognised(spoil):
    images = real_digits()[0][:200]
    report = classifier().report(spoil(images).reshape(images.shape))
    assert report.figures["confident"] < 0.6 and not report.figures["recognisable"]


def test_one_missing_class_is_named_and_enough_to_fail():
    images, labels = real_digits()
    report = classifier().report(images[labels != 4])
    assert report.figures["confident"] > NEEDED
    assert report.figures["missing"] == ["4"] and not report.figures["recognisable"]
    assert report.text.endswith("classes never found: 4")


def test_evaluate_judges_digits_and_its_figures_are_json():
    report = evaluate(real_digits()[0][:50], digits())
    assert json.loads(json.dumps(report.figures)) == report.figures
    assert report.text == classifier().report(real_digits()[0][:50]).text


def test_scores_separate_noise_from_real_digits():
    images, labels = real_digits()
    apart = images[held_out(len(images))]
    found = classifier().report(apart).figures
    names = ("classifier_score", "frechet_distance_of_means")
    assert all(found[name] == found["held_out"][name] for name in names)
    assert 9 < found["classifier_score"] <= 10 and found["frechet_distance_of_means"] < 0.1
    noise = classifier().report(RANDOM.randint(0, 256, apart.shape).astype(np.uint8)).figures
    assert noise["classifier_score"] < 1.1 and noise["frechet_distance_of_means"] > 5
    fours = classifier().report(images[labels == 4]).figures
    assert fours["classifier_score"] < 1.5 and fours["frechet_distance_of_means"] > 1
    assert "Inception Score's formula with this classifier" in classifier().report(apart).text


def test_requested_classes_are_compared_with_recognised_ones():
    images, labels = real_digits()
    images, labels = images[:400], labels[:400]
    asked = labels.copy()
    asked[labels == 3] = 5
    report = classifier().report(images, asked)
    shares = report.figures["asked"]["classes"]
    assert "3" not in shares and shares["4"] > 0.9
    assert shares["5"] == pytest.approx(np.mean(labels[asked == 5] == 5), abs=0.05)  # threes are none
    assert report.figures["asked"]["recognised"] == pytest.approx(np.mean(asked == labels), abs=0.05)
    assert "recognised as the class asked for: " in report.text
    assert "asked" not in classifier().report(images).figures


def test_a_class_recognised_without_confidence_does_not_count():
    images, labels = real_digits()
    blurred = (images // 2 + images[::-1] // 2)[:300]
    report = classifier().report(blurred, labels[:300])
    found, sure = classifier().predict(cell_means(blurred))
    right = found == labels[:300]
    assert report.figures["asked"]["recognised"] == pytest.approx(np.mean(right & sure))
    assert np.mean(right & sure) < np.mean(right) - 0.05


def test_distance_of_a_clip_to_itself_at_any_level_is_nothing():
    clips, _ = hits(0, 2)
    distances = log_spectral_distance(clips, 0.25 * clips)
    # In dB**2 the squares cancel to about bins * RANGE**2 * 2**-52 = 1e-10, whose root is 1e-5.
    assert np.abs(np.diag(distances)).max() < 1e-4
    assert distances[~np.eye(len(clips), dtype=bool)].min() > 5


def test_silence_is_far_from_every_drum():
    clips, _ = hits(0, 5)
    silence = np.zeros((1, 16384))
    assert log_spectral_distance(silence, clips).min() > log_spectral_distance(clips, clips).max() / 2
    assert log_spectral_distance(silence, silence) == 0 == log_spectral_distance(silence, 0 * clips).max()


def test_distance_is_the_level_difference_of_one_half_of_the_band():
    """Two sums of the same tones, the upper ones 20 dB lower in one: only their bins differ, by 20 dB."""
    time = np.arange(16384)
    low, high = (
        sum(np.cos(2 * np.pi * b * time / 256 + b**2) for b in bins) for bins in (range(4, 60), range(68, 124))
    )
    distance = log_spectral_distance((low + high)[None], (low + 0.1 * high)[None])[0, 0]
    assert distance == pytest.approx(20 * np.sqrt(1 / 2), rel=0.02)  # 0.4 % by the frames that end in zeros


def test_distance_is_symmetric_and_agrees_with_its_definition():
    a, b = RANDOM.standard_normal((3, 4096)), RANDOM.standard_normal((2, 4096))
    left, right = (levels(clips).transpose(1, 0, 2) for clips in (a, b))
    direct = [[np.mean(np.sqrt(np.mean((x - y) ** 2, 1))) for y in right] for x in left]
    assert log_spectral_distance(a, b) == pytest.approx(np.array(direct), rel=1e-9)
    assert log_spectral_distance(b, a) == pytest.approx(np.array(direct).T, rel=1e-9)


def test_nearest_clips_are_of_the_same_drum():
    real, names = hits(0, 40)
    clips, expected = hits(40, 10)
    distances, nearest = nearest_distances(clips, real)
    assert np.mean([names[index] == name for index, name in zip(nearest, expected, strict=True)]) > 0.9
    assert (distances > 0).all()


def test_drums_lie_between_real_clips_and_noise():
    real, names = hits(0, 20)
    held, _ = hits(20, 5)
    noise = RANDOM.standard_normal((20, 16384))
    rough = held + 0.01 * RANDOM.standard_normal(held.shape)
    report = clips_report(rough, real, held, noise, names)
    distance = report.figures["distance_db"]
    assert distance["held_out"] < distance["generated"] < distance["noise"]
    assert 0 < report.figures["closeness"] < 1
    assert f"{distance['noise']:.1f} dB" in report.text and "nearest to kick" in report.text
    assert clips_report(noise, real, held, noise, names).figures["closeness"] == 0
    assert clips_report(held, real, held, noise, names).figures["closeness"] == 1


def test_clips_that_all_sound_alike_have_a_small_distance_apart():
    real, names = hits(0, 10)
    same = np.repeat(real[:1], 8, axis=0)
    report = clips_report(same, real, real[1:], same, names)
    assert report.figures["apart_db"]["generated"] < 1 < report.figures["apart_db"]["held_out"]
    assert report.figures["classes"] == {"kick": 1, "snare": 0, "hat": 0, "tom": 0}


class Few:
    """A small source."""

    def __init__(self, kind, name, labels, examples):
        self.kind, self.name, self.labels, self.examples = kind, name, labels, examples

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        x, label = self.examples[index]
        return {"x": x, "label": np.int64(label)}


@cache
def few_drums():
    clips, names = hits(0, 10)
    return Few("audio", "drums", NAMES, list(zip(clips.astype(np.float32), map(NAMES.index, names), strict=True)))


def test_evaluate_compares_clips_with_the_source():
    report = evaluate(hits(10, 2)[0].astype(np.float32), few_drums())
    assert json.loads(json.dumps(report.figures)) == report.figures
    assert set(report.figures["classes"]) == set(NAMES)
    assert report.figures["closeness"] > 0.5


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((3, 64, 64, 1), np.float32), r"samples are float32 \[3, 64, 64, 1\], but digits holds uint8"),
        (
            np.zeros((3, 32, 32, 1), np.uint8),
            r"samples are uint8 \[3, 32, 32, 1\], but digits holds uint8 \[N, 64, 64, 1\]",
        ),
        (np.zeros((0, 64, 64, 1), np.uint8), r"samples are uint8 \[0, "),
    ],
)
def test_samples_of_something_else_are_rejected(samples, message):
    with pytest.raises(ValueError, match=message):
        evaluate(samples, digits())


def test_clips_with_nan_are_rejected():
    with pytest.raises(ValueError, match="1 of 2 samples hold NaN"):
        evaluate(np.stack([np.zeros(16384), np.full(16384, np.nan)]).astype(np.float32), few_drums())


def test_images_without_classes_are_rejected():
    faces = np.zeros((5, 64, 64, 1), np.uint8)
    with pytest.raises(ValueError, match="images:faces: images are judged by their classes"):
        evaluate(faces, Few("image", "images:faces", [], [(face, -1) for face in faces]))


def test_images_of_one_class_are_rejected():
    faces = np.zeros((5, 64, 64, 1), np.uint8)
    with pytest.raises(ValueError, match="images:faces: .* all of them have the same one"):
        evaluate(faces, Few("image", "images:faces", ["face"], [(face, 0) for face in faces]))


def test_images_that_do_not_divide_into_cells_are_rejected():
    with pytest.raises(ValueError, match="60x64 pixels do not divide into 8x8"):
        classifier().report(np.zeros((1, 60, 64, 1), np.uint8))


def test_the_same_examples_are_held_out_every_time():
    apart = held_out(1797)
    assert (apart == held_out(1797)).all() and (apart != held_out(1797, seed=1)).any()
    assert apart.mean() == pytest.approx(HELD_OUT, abs=0.03)  # three standard deviations
