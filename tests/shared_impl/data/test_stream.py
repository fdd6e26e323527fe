"""The stream of batches: one order for any number of workers and devices, resumable at any batch, whole epochs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from threading import Semaphore

import numpy as np
import psutil
import pytest
import soundfile
from PIL import Image

from shared_impl.config.data import DataConfig
from shared_impl.config.systems import DCGANConfig, SpecGANConfig
from shared_impl.data.errors import DataError
from shared_impl.data.source_interface import Source
from shared_impl.data.sources import open_source
from shared_impl.data.stream import Stream

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Source:
    """Twenty images, each of its own grey."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(20):
        (folder / f"class{number % 3}").mkdir(exist_ok=True)
        Image.new("L", (8, 8), 10 * number).save(folder / f"class{number % 3}" / f"{number:02}.png")
    return open_source(DataConfig(source=f"images:{folder}"), DCGANConfig())


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Source:
    """Five ramps, of one to five slices and a half, so that a slice's first value tells where it starts."""
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(5):
        ramp = np.arange((number + 1.5) * 16384) / 2**20
        soundfile.write(folder / f"{number}.wav", ramp, 16000, subtype="FLOAT")
    return open_source(DataConfig(source=f"audio:{folder}"), SpecGANConfig())


def taken(source: Source, count: int, batch_size: int = 6, seed: int = 0, **options) -> list[dict[str, np.ndarray]]:
    with Stream(source, batch_size, seed, **options) as stream:
        return [next(stream) for _ in range(count)]


def same(left: list[dict[str, np.ndarray]], right: list[dict[str, np.ndarray]]) -> bool:
    return len(left) == len(right) and all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(left, right, strict=True)
    )


def greys(batches: list[dict[str, np.ndarray]]) -> list[int]:
    """Which images were shown."""
    return [int(image[0, 0, 0]) // 10 for batch in batches for image in batch["x"]]


def test_batches_are_arrays_of_one_layout(images, sounds):
    batch = taken(images, 1)[0]
    assert {name: (type(a), a.dtype, a.shape) for name, a in batch.items()} == {
        "x": (np.ndarray, np.uint8, (6, 64, 64, 1)),
        "label": (np.ndarray, np.int64, (6,)),
    }
    batch = taken(sounds, 1)[0]
    assert (batch["x"].dtype, batch["x"].shape, batch["label"].tolist()) == (np.float32, (6, 16384), [-1] * 6)


def test_labels_stay_with_their_examples(images):
    for batch in taken(images, 4):
        assert (batch["label"] == (batch["x"][:, 0, 0, 0] // 10) % 3).all()


def test_every_epoch_shows_every_example_once_in_an_order_of_its_own(images):
    shown = greys(taken(images, 10, batch_size=6))
    epochs = [shown[first : first + 20] for first in (0, 20, 40)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(20)]}) == 4
    with Stream(images, 6, 0) as stream:
        assert stream.epoch_batches == 20 / 6


def test_the_seed_decides(images, sounds):
    for source in (images, sounds):
        assert same(taken(source, 5, seed=7), taken(source, 5, seed=7))
        assert not same(taken(source, 5, seed=7), taken(source, 5, seed=8))
    assert len(greys(taken(images, 1, seed=2**63))) == 6


def test_offsets_are_drawn_anew_each_time(sounds):
    starts = [float(clip[0]) for batch in taken(sounds, 40) for clip in batch["x"]]
    assert len(set(starts)) > 200  # of 240 drawn out of thousands each


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2}, {"prefetch": 1}, {"prefetch": 9}])
def test_workers_and_prefetch_change_nothing(images, sounds, options):
    for source in (images, sounds):
        assert same(taken(source, 8, **options), taken(source, 8))


@pytest.mark.parametrize("devices", [2, 3, 6])
def test_devices_share_the_same_batches(images, sounds, devices):
    for source in (images, sounds):
        whole = taken(source, 5)
        parts = [taken(source, 5, shard=(device, devices)) for device in range(devices)]
        joined = [
            {name: np.concatenate([one[name] for one in batch]) for name in batch[0]}
            for batch in zip(*parts, strict=True)
        ]
        assert same(joined, whole)


@pytest.mark.parametrize(("before", "after"), [({}, {}), ({}, {"workers": 2}), ({"workers": 2}, {"prefetch": 2})])
def test_a_saved_position_is_picked_up_exactly(sounds, before, after):
    whole = taken(sounds, 12)
    with Stream(sounds, 6, 0, **before) as stream:
        for _ in range(7):
            next(stream)
        state = json.loads(json.dumps(stream.state()))
    with Stream(sounds, 6, 0, **after) as stream:
        stream.restore(state)
        assert same([next(stream) for _ in range(5)], whole[7:])
        assert stream.state()["batches"] == 12


def test_a_stream_goes_back_while_it_reads_ahead(images):
    whole = taken(images, 5)
    with Stream(images, 6, 0) as stream:
        start = stream.state()
        assert same([next(stream), next(stream)], whole[:2])
        stream.restore(start)
        assert same([next(stream) for _ in range(5)], whole)


def test_a_state_goes_to_any_number_of_devices(images):
    with Stream(images, 6, 0, shard=(1, 2)) as stream:
        next(stream)
        state = stream.state()
    with Stream(images, 6, 0, shard=(2, 3)) as stream:
        stream.restore(state)
        assert greys([next(stream)]) == greys(taken(images, 2))[10:12]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, r"seed: got 0, expected 1\)"),
        ({"batch_size": 4}, r"batch_size: got 6, expected 4\)"),
        ({"batch_size": 4, "seed": 1}, r"batch_size: got 6, expected 4; seed: got 0, expected 1\)"),
    ],
)
def test_a_position_of_another_stream_is_rejected(images, change, message):
    state = Stream(images, 6, 0).state()
    options = {"batch_size": 6, "seed": 0, **change}
    with pytest.raises(DataError, match=f"the saved position belongs to another stream .*{message}"):
        Stream(images, **options).restore(state)


def test_a_position_in_other_data_is_rejected(images, sounds):
    with pytest.raises(
        DataError, match=r"audio:.*: the saved position belongs to another stream \(source: got '\w{16}'"
    ):
        Stream(sounds, 6, 0).restore(Stream(images, 6, 0).state())


def test_fewer_examples_than_a_batch_is_an_error(images):
    assert len(taken(images, 1, batch_size=20)[0]["x"]) == 20
    with pytest.raises(
        DataError, match=r"20 images in 3 classes: fewer examples than one batch \(training.batch_size=21"
    ):
        Stream(images, 21, 0)


@pytest.mark.parametrize("shard", [(0, 4), (2, 2), (-1, 2)])
def test_an_uneven_share_is_an_error(images, shard):
    with pytest.raises(DataError, match=rf"training.batch_size=6 cannot be split .* device {shard[0]} of {shard[1]}"):
        Stream(images, 6, 0, shard=shard)


@pytest.fixture
def damaged(tmp_path) -> Path:
    noise = np.random.RandomState(1).randint(0, 256, (9, 64, 64), np.uint8)
    for number, pixels in enumerate(noise):
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        if number in (3, 4):
            path.write_bytes(path.read_bytes()[:2000])
    return tmp_path


def test_damaged_files_are_named_whoever_meets_them(damaged):
    data = DataConfig(source=f"images:{damaged}")
    batches = {}
    for workers in (0, 2):
        source = open_source(data, DCGANConfig())
        batches[workers] = taken(source, 4, batch_size=5, workers=workers)
        assert sorted(Path(place).name for place, _ in source.skipped) == ["3.png", "4.png"]
        assert all("cannot be read as an image" in reason for _, reason in source.skipped)
    assert same(batches[0], batches[2])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_file_stops_a_strict_stream(damaged, workers):
    source = open_source(DataConfig(source=f"images:{damaged}", strict=True), DCGANConfig())
    with pytest.raises(DataError, match=r"[34].png: cannot be read as an image .*data.strict=true"):
        taken(source, 4, batch_size=5, workers=workers)


RUN = """
import sys
from shared_impl.config.data import DataConfig
from shared_impl.config.systems import DCGANConfig
from shared_impl.data.sources import open_source
from shared_impl.data.stream import Stream
if __name__ == "__main__":
    stream = Stream(open_source(DataConfig(source=f"images:{sys.argv[1]}"), DCGANConfig()), 6, 0, workers=2)
    next(stream)
    try:
        print("going", flush=True)
        sys.stdin.read()  # until it is interrupted or killed
    except KeyboardInterrupt:
        print(all(len(next(stream)["x"]) == 6 for _ in range(20)), flush=True)
    stream.close()
"""


@pytest.fixture
def going(images, tmp_path):
    """A process in whose stream two workers are busy, leader of a group of its own as under a shell."""
    script = tmp_path / "run.py"
    script.write_text(RUN)
    folder = Path(images.place(0)).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as run:
        assert run.stdout.readline() == "going\n"
        yield run
        run.kill()


def test_workers_do_not_outlive_a_killed_run(going):
    children = psutil.Process(going.pid).children(recursive=True)
    assert len(children) >= 2
    going.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells what a process blocks")
def test_workers_inherit_a_mask_that_blocks_interrupts(going):
    """The mask is inherited: a handler of their own would come too late for a worker that is still importing."""
    processes = [child for child in psutil.Process(going.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    statuses = [Path(f"/proc/{worker.pid}/status").read_text() for worker in processes]
    blocked = [int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16) for status in statuses]
    assert len(blocked) == 2 and all(mask >> (signal.SIGINT - 1) & 1 for mask in blocked)


def test_workers_leave_the_interrupt_to_the_run(going):
    os.killpg(going.pid, signal.SIGINT)
    assert going.stdout.readline() == "True\n"
    assert going.wait(timeout=120) == 0


def test_batches_are_prepared_while_the_loop_computes():
    read = Semaphore(0)

    class Counted(Source):
        kind = "image"
        fingerprint = "0"

        def __len__(self):
            return 100

        def place(self, index):
            return str(index)

        def read(self, index, share):
            read.release()
            return np.zeros((1, 1, 1), np.uint8), 0

        def read_classes(self):
            return [0] * 100

    with Stream(Counted(DataConfig(), []), batch_size=4, seed=0, prefetch=4) as stream:
        next(stream)
        for _ in range(4 * 4):  # one batch was asked for, and three more are read while nobody asks
            assert read.acquire(timeout=60)
