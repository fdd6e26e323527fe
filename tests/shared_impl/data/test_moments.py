"""Moments of a data set: streamed, merged over shards, stored; rejected for other data or settings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shared_impl.data.errors import DataError
from shared_impl.data.moments import RESOLUTION, Accumulator, Moments, MomentsError, load, save

BINS = 129
SETTINGS = {"source": "0123456789abcdef", "sample_rate": 16000, "overlap": 0.0, "first_slice": False, "frame": 256}
# Sums of 1e4 float64 numbers in two orders: 1e4 roundoffs of 1.1e-16 at the very worst, and NumPy sums pairwise.
ROUNDING = 1e-13


@pytest.fixture(scope="module")
def logs() -> np.ndarray:
    """Log magnitudes ``[clips, frames, bins]`` as sound has them: far from zero, each bin on its own level."""
    rs = np.random.RandomState(3)
    return rs.normal(rs.uniform(-9, 1, BINS), rs.uniform(0.5, 4, BINS), (40, 128, BINS))


def measured(portions, **options) -> Moments:
    accumulator = Accumulator(SETTINGS, **options)
    for portion in portions:
        accumulator.add(portion)
    return accumulator.result()


def agree(got: Moments, logs: np.ndarray) -> bool:
    frames = logs.reshape(-1, BINS)
    return got.count == len(frames) and all(
        np.abs(ours - numpys).max() < ROUNDING * np.abs(numpys).max()
        for ours, numpys in ((got.mean, frames.mean(0)), (got.std, frames.std(0)))
    )


@pytest.mark.parametrize("portion", [1, 7, 40])
def test_portions_of_any_size_give_numpy_s_moments_of_the_whole(logs, portion):
    assert agree(measured(logs[i : i + portion] for i in range(0, 40, portion)), logs)


def test_one_number_more_changes_the_moments(logs):
    """The comparison above can fail: one changed number of 660480 moves its bin beyond rounding."""
    changed = logs.copy()
    changed[17, 5, 60] += 1e-6
    assert not agree(measured([changed]), logs)


def test_a_mean_whose_square_swallows_that_of_the_deviation_is_survived(logs):
    """Mean of squares minus square of the mean: 1e12 rounds to 1e-4, against variances from 0.25 on."""
    far = logs + 1e6
    exact = (far - 1e6).reshape(-1, BINS).var(0)
    naive = np.square(far).mean((0, 1)) - np.square(far.mean((0, 1)))
    assert np.abs(measured(far).variance / exact - 1).max() < 1e-9  # float64 holds 1e6 + x to 1e-10
    assert np.abs(naive / exact - 1).max() > 1e-6


def test_single_frames_and_float32_are_counted_like_the_rest(logs):
    frames = logs[:2].reshape(-1, BINS)
    assert agree(measured(frames), logs[:2])
    single = logs.astype(np.float32)
    assert agree(measured([single]), single.astype(np.float64))


def test_shards_merge_into_the_whole_in_any_order(logs, tmp_path):
    parts = [measured(logs[i::3], shard=i, shards=3) for i in range(3)]
    for i, part in enumerate(parts):
        save(part, tmp_path / f"{i}.npz")
    for order in ((0, 1, 2), (2, 0, 1)):
        whole = Accumulator(SETTINGS, shard=order[0], shards=3)
        whole.add(logs[order[0] :: 3])
        for i in order[1:]:
            whole.merge(load(tmp_path / f"{i}.npz", SETTINGS, partial=True))
        assert agree(whole.result(), logs)
        assert whole.result().shards == (frozenset({0, 1, 2}), 3)
    empty = Accumulator(SETTINGS, shard=0, shards=2)
    empty.merge(measured(logs, shard=1, shards=2))
    assert agree(empty.result(), logs)


@pytest.mark.parametrize(
    ("settings", "shard", "shards", "message"),
    [
        (SETTINGS, 0, 2, "shards 0 of 2, joining 0 of 2; expected as many in all, and none of them twice"),
        (SETTINGS, 1, 3, "shards 1 of 3, joining 0 of 2"),
        (SETTINGS | {"frame": 64}, 1, 2, "measured with other settings .frame: got 64, expected 256"),
    ],
)
def test_what_is_no_other_shard_of_the_same_measurement_is_not_merged(logs, settings, shard, shards, message):
    accumulator = Accumulator(SETTINGS, shard=0, shards=2)
    other = Accumulator(settings, shard, shards)
    other.add(logs)
    with pytest.raises(MomentsError, match=message):
        accumulator.merge(other.result())


def test_what_is_saved_comes_back_bit_for_bit(logs, tmp_path):
    path = tmp_path / "moments.npz"
    saved = measured(logs)
    save(saved, path)
    loaded = load(path, SETTINGS)
    assert all(np.array_equal(getattr(saved, name), getattr(loaded, name)) for name in ("mean", "variance", "std"))
    assert (loaded.count, loaded.settings, loaded.shards) == (saved.count, saved.settings, saved.shards)
    assert [file.name for file in tmp_path.iterdir()] == ["moments.npz"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": "ffff"}, "source: got '0123456789abcdef', expected 'ffff'"),
        (
            {"sample_rate": 22050, "overlap": 0.5},
            "overlap: got 0.0, expected 0.5; sample_rate: got 16000, expected 22050",
        ),
        ({"frame": 512}, "frame: got 256, expected 512"),
        ({"pad_end": True}, "pad_end: got nothing, expected True"),
    ],
)
def test_moments_of_other_settings_are_rejected_with_the_differing_fields(logs, tmp_path, changed, message):
    path = tmp_path / "moments.npz"
    save(measured(logs), path)
    with pytest.raises(MomentsError, match=message) as caught:
        load(path, SETTINGS | changed)
    assert str(caught.value).startswith(f"{path}: measured with other settings")
    assert "\n" not in str(caught.value)


def test_a_part_is_not_taken_for_the_whole(logs, tmp_path):
    save(measured(logs, shard=2, shards=3), tmp_path / "moments.npz")
    with pytest.raises(MomentsError, match="holds shards 2 of 3 alone; merge it"):
        load(tmp_path / "moments.npz", SETTINGS)


def test_a_bin_that_never_varies_is_centred_and_not_scaled():
    """Silence in float32: the level is constant up to the rounding of the device that took the logarithm."""
    rs = np.random.RandomState(0)
    logs = np.full((4, 128, 3), np.log(np.float32(1e-6)), np.float32)
    logs[..., 1] = np.nextafter(logs[..., 1], np.where(rs.uniform(size=(4, 128)) < 0.5, -np.inf, 0), dtype=np.float32)
    logs[..., 2] += rs.normal(0, 1e-3, (4, 128))
    got = measured(logs)
    assert list(got.std[:2]) == [1, 1]
    assert got.std[2] == pytest.approx(1e-3, rel=0.1)
    assert np.abs((logs - got.mean) / got.std)[..., :2].max() < 16 * RESOLUTION
    one = measured(logs[0, :1])
    assert list(one.std) == [1, 1, 1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0.0, np.nan]]), r"a log magnitude is nan at \[0, 1\]"),
        (np.array([[[0.0, 1.0], [-np.inf, 0.0]]]), r"a log magnitude is -inf at \[0, 1, 0\]"),
        (np.zeros((2, 3)), "got frames of 3 bins after frames of 2"),
    ],
)
def test_what_would_spoil_the_moments_is_rejected_and_nothing_is_lost(values, message):
    accumulator = Accumulator(SETTINGS)
    accumulator.add(np.ones((5, 2)))
    with pytest.raises(MomentsError, match=message):
        accumulator.add(values)
    assert accumulator.result().count == 5


def test_nothing_gives_no_moments():
    accumulator = Accumulator(SETTINGS)
    accumulator.add(np.zeros((0, 128, BINS)))
    with pytest.raises(MomentsError, match="not one frame was counted"):
        accumulator.result()
    with pytest.raises(MomentsError, match="shard is 3, expected 0 to 2"):
        Accumulator(SETTINGS, shard=3, shards=3)


def rewritten(path, **changes) -> None:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    about = json.loads(str(arrays["about"]))
    arrays |= {name: value for name, value in changes.items() if name in arrays}
    about |= {name: value for name, value in changes.items() if name not in arrays}
    np.savez(path, **arrays | {"about": np.array(json.dumps(about))})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not a zip file"),
        (lambda path: path.write_bytes(b"RIFF"), None),
        (lambda path: np.savez(path, mean=np.zeros(3)), "variance"),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), None),
        (lambda path: rewritten(path, mean=np.full(BINS, np.nan)), "a mean and a variance per bin, finite"),
        (lambda path: rewritten(path, variance=-np.ones(BINS)), "no variance negative"),
        (lambda path: rewritten(path, variance=np.ones(3)), "a mean and a variance per bin"),
        (lambda path: rewritten(path, format="wav"), "format is 'wav', expected 'parity-moments/1'"),
        (lambda path: rewritten(path, count=0), "0 frames of shards 0 of 1"),
        (lambda path: rewritten(path, shards=[[4], 2]), "frames of shards 4 of 2"),
        (lambda path: rewritten(path, shards=[]), None),
        (lambda path: rewritten(path, mean=np.array([{}])), None),
    ],
)
def test_a_damaged_file_is_one_clear_line(logs, tmp_path, damage, reason):
    path = tmp_path / "moments.npz"
    save(measured(logs), path)
    damage(path)
    with pytest.raises(MomentsError, match=reason) as caught:
        load(path, SETTINGS)
    assert str(caught.value).startswith(f"{path}: cannot be read as moments: ")
    assert str(caught.value).endswith("; run the moments command again")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_unwritable_place_are_one_clear_line(logs, tmp_path):
    with pytest.raises(DataError, match="no such file; the moments command writes it"):
        load(tmp_path / "moments.npz", SETTINGS)
    with pytest.raises(MomentsError, match="moments cannot be written: No such file or directory"):
        save(measured(logs), tmp_path / "nowhere" / "moments.npz")
    for place in (".", tmp_path, "/dev/null"):
        with pytest.raises(MomentsError, match="moments cannot be written: it is no file"):
            save(measured(logs), Path(place))


def test_a_disk_that_fills_up_leaves_the_old_file(logs, tmp_path, monkeypatch):
    path = tmp_path / "moments.npz"
    save(measured(logs), path)

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(MomentsError, match="cannot be written: No space left on device"):
        save(measured(logs[:1]), path)
    assert agree(load(path, SETTINGS), logs)
    assert [file.name for file in tmp_path.iterdir()] == ["moments.npz"]
