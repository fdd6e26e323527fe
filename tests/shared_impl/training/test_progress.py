"""The progress display: plain lines for a file, one live view for a terminal; its figures are right."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from shared_impl.training import progress
from shared_impl.training.progress import Progress

ROOT = Path(__file__).resolve().parents[3]


class Clock:
    """Time that passes only when a test advances it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def lines(stream):
    return stream.getvalue().splitlines()


def test_plain_lines_come_at_an_interval_and_at_the_end(clock):
    stream = io.StringIO()
    with Progress(100, "dcgan", stream, every=10) as shown:
        for step in range(1, 101):
            clock.now += 0.5
            shown.update(step, {"d_loss": step / 100})
    steps = [int(re.match(r"dcgan: step (\d+)/100", line)[1]) for line in lines(stream)]
    assert steps == [1, 21, 41, 61, 81, 100]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", stream.getvalue())


def test_the_last_step_is_printed_even_between_two_lines(clock):
    stream = io.StringIO()
    with Progress(3, "x", stream) as shown:
        for step in (1, 2, 3):
            shown.update(step)
    assert [line.split(",")[0] for line in lines(stream)] == ["x: step 1/3 (33%)", "x: step 3/3 (100%)"]


def test_a_line_has_losses_rates_the_time_left_and_memory(clock):
    stream = io.StringIO()
    with Progress(3000, "x", stream, images=lambda step: 128 * step, every=0) as shown:
        shown.update(1000, {"g_loss": 1.23456, "d_loss": 0.5})
        clock.now += 50
        shown.update(1100, {"d_loss": 0.25})
    first, second = lines(stream)
    assert "steps/s" not in first  # nothing to measure yet: the first step compiles
    pattern = (
        r"x: step 1,100/3,000 \(37%\), g_loss 1.235, d_loss 0.25, 2 steps/s, 256 images/s, 0:15:50 left, 0:00:50 gone, "
        r"memory (\d\.\d\d) GB, peak (\d\.\d\d) GB"
    )
    now, peak = map(float, re.fullmatch(pattern, second).groups())
    assert now == pytest.approx(psutil.Process().memory_info().rss / 1e9, rel=0.1)
    assert now <= peak < psutil.virtual_memory().total / 1e9


def test_a_rate_is_that_of_late(clock):
    with Progress(10000, "x", io.StringIO()) as shown:
        for _ in range(100):
            clock.now += 1
            shown.update(shown.step + 1)
        assert shown.rate == pytest.approx(1)
        for _ in range(100):
            clock.now += 1
            shown.update(shown.step + 10)
        assert shown.rate == pytest.approx(10)
        for _ in range(3):
            clock.now += 100  # a step longer than the window
            shown.update(shown.step + 1)
        assert shown.rate == pytest.approx(0.01)


def test_the_rate_of_a_resumed_run_does_not_count_earlier_steps(clock):
    with Progress(10000, "x", io.StringIO()) as shown:
        shown.update(5001)
        assert shown.rate is None
        clock.now += 2
        shown.update(5002)
        assert shown.rate == pytest.approx(0.5)


def test_images_of_larger_batches_are_counted_as_they_were_shown(clock):
    """Growing networks begin with larger batches: the rate of late is of what was shown, not of the last batch's."""
    shown_before = lambda step: 512 * min(step, 10) + 128 * max(step - 10, 0)  # noqa: E731
    stream = io.StringIO()
    with Progress(20, "x", stream, images=shown_before, every=0) as shown:
        for step in range(1, 21):
            clock.now += 1 if step > 10 else 4
            shown.update(step)
    assert {re.search(r"(\d+) images/s", line)[1] for line in lines(stream)[1:]} == {"128"}


def test_a_long_step_is_said_to_be_under_way_ever_more_rarely(clock):
    stream = io.StringIO()
    with Progress(9, "x", stream, every=10) as shown:
        for _ in range(10):
            clock.now += 10
            shown._tick()
        shown.update(1)
        clock.now += 10
        shown.update(2)
        clock.now += 15
        shown._tick()
        clock.now += 5
        shown._tick()
    said = [line for line in lines(stream) if "running" in line]
    assert [line.split(" for ")[1] for line in said[:4]] == [
        f"0:0{time}; the first one compiles" for time in ("0:10", "0:20", "0:40", "1:20")
    ]
    assert said[4:] == ["x: step 3 has been running for 0:00:20"]


def test_steps_between_two_that_are_logged_are_not_taken_for_one_long_step(clock):
    stream = io.StringIO()
    with Progress(100, "x", stream, every=10) as shown:
        shown.update(10)
        clock.now += 30
        shown.update(20)
        for step in range(21, 29):
            clock.now += 3
            shown.advance(step)
            shown._tick()
        assert (shown.step, shown.position()) == (28, 28)
    assert "running" not in stream.getvalue()


def test_the_bar_moves_within_a_step_but_not_beyond_it(clock):
    with Progress(4, "x", io.StringIO()) as shown:
        assert shown.position() == 0
        shown.update(1)
        clock.now += 10
        shown.update(2)
        clock.now += 5
        assert shown.position() == pytest.approx(2.5)
        clock.now += 50
        assert shown.position() == pytest.approx(2 + progress.ALMOST)
        shown.update(4)
        clock.now += 5
        assert shown.position() == 4


def test_memory_is_never_above_its_own_peak(monkeypatch):
    monkeypatch.setattr(progress, "_peak", lambda: 1)
    with Progress(1, "x", io.StringIO()) as shown:
        now, peak = re.search(r"memory (\S+) GB, peak (\S+) GB", " ".join(shown.facts())).groups()
    assert now == peak


def test_memory_is_in_bytes_and_the_peak_no_less():
    block = bytearray(300 * 10**6)
    block[::4096] = bytes(len(block[::4096]))
    peak = progress._peak()
    resident = Progress(1, "x")._process.memory_info().rss
    assert 0.3e9 < resident <= peak * 1.01 < 8e9
    del block


def test_notes_are_lines_of_their_own():
    stream = io.StringIO()
    with Progress(3, "x", stream) as shown:
        shown.note("a [bold] word")
        shown.update(3)
    assert lines(stream)[0] == "a [bold] word"
    assert len(lines(stream)) == 2


def test_an_error_prints_the_last_state_and_propagates(clock):
    stream = io.StringIO()
    with pytest.raises(RuntimeError), Progress(3, "x", stream) as shown:
        shown.update(1)
        shown.update(2)
        raise RuntimeError
    assert lines(stream)[-1].startswith("x: step 2/3")


def test_without_a_step_nothing_is_printed():
    stream = io.StringIO()
    with Progress(3, "x", stream):
        pass
    assert lines(stream) == []
    with Progress(0, "x", stream) as shown:
        shown.update(0)
    assert lines(stream)[0].startswith("x: step 0/0 (0%)")


CODE = """
import sys, time
from shared_impl.training.progress import Progress
with Progress(50, "dcgan_digits", images=lambda step: 64 * step) as shown:
    for step in range(1, 51):
        time.sleep(0.01)
        shown.update(step, {"d_loss": 0.5})
        if step == 25:
            shown.note("watch [this]")
            print("to stdout")
"""


def on_a_terminal(**environment):
    """What a child writes to a terminal of 100 columns, and to its standard output."""
    master, slave = pty.openpty()
    variables = {**os.environ, "COLUMNS": "100", "TERM": "xterm-256color", **environment}
    child = subprocess.Popen(
        [sys.executable, "-c", CODE], cwd=ROOT, env=variables, stderr=slave, stdout=subprocess.PIPE, text=True
    )
    os.close(slave)
    screen = b""
    while True:
        if select.select([master], [], [], 120)[0]:
            try:
                screen += os.read(master, 65536)
            except OSError:  # the child has closed its end
                break
        else:
            child.kill()
    os.close(master)
    output = child.communicate()[0]
    assert child.returncode == 0
    return screen.decode(), output


def test_a_terminal_gets_one_live_picture_and_notes_above_it():
    screen, output = on_a_terminal()
    assert output == "to stdout\n"
    assert "\x1b[" in screen
    assert "━" in screen
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen)
    assert "watch [this]" in text
    last = text[text.rindex("dcgan_digits") :]
    assert "step 50/50 (100%)" in last
    assert "d_loss 0.5" in last
    assert "images/s" in last
    assert "peak" in last
    assert "\x1b[?25h" in screen[-40:]  # the cursor is back


def test_a_dumb_terminal_gets_plain_lines():
    screen, _ = on_a_terminal(TERM="dumb")
    assert "\x1b" not in screen
    assert screen.splitlines()[0].startswith("dcgan_digits: step 1/50")


def test_colours_that_are_forced_do_not_reach_a_file():
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env={**os.environ, "FORCE_COLOR": "1"}, capture_output=True, text=True
    )
    assert "\x1b" not in done.stderr
    assert done.returncode == 0
