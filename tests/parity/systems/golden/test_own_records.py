"""The project's own golden records: both implementations agree with every one, and the documentation describes them."""

from __future__ import annotations

import json
import subprocess
import sys

import keras
import numpy as np

from parity.systems.golden import check, render
from parity.systems.golden.limits import LARGEST_LIMIT, LIMITS
from parity.systems.golden.records import OWN, Record
from parity.systems.golden.settings import SpecGANTrainingSetting
from tests.parity.systems.golden.copies import copied


def test_own_records_pass_in_both_frameworks_and_every_array_is_judged(replayed_once):
    results = check()
    judged = [result for result in results if result.judged]
    assert [result.message for result in judged if not result.passed] == []
    assert {result.framework for result in judged} == {"Keras", "torch"}
    for record in ("specgan_forward", "specgan_training"):
        settings = {result.setting for result in judged if result.record == record}
        assert settings == set(json.loads((OWN / f"{record}.json").read_text()))
    recorded = {path.stem: set(np.load(path).files) for path in OWN.glob("*.npz")}
    recorded["specgan_spectrogram"].remove("waveform")  # from which everything else in that record is computed
    for framework in ("Keras", "torch"):
        found = {(result.record, result.setting, result.quantity) for result in judged if result.framework == framework}
        missing = {
            f"{record}/{key}"
            for record, keys in recorded.items()
            for key in keys - {"/".join(filter(None, names[1:])) for names in found if names[0] == record}
        }
        counts = {key for key in missing if key.endswith("num_batches_tracked")}  # which Keras does not keep
        assert missing == counts and len(counts) == {"Keras": 7, "torch": 0}[framework]
    assert all(result.judged for result in results)
    lines = render(results).splitlines()
    assert lines[-2:] == ["judged: 184; not judged: 0", "184 of 184 recorded arrays agree in Keras and torch"]


def test_checking_restores_the_precision_of_keras(dcgan):
    before = keras.config.floatx(), keras.config.dtype_policy().name
    check(dcgan)
    assert (keras.config.floatx(), keras.config.dtype_policy().name) == before


def test_reading_records_imports_no_framework():
    code = (
        "import sys, parity.systems.golden.records, parity.systems.golden.draws, parity.systems.golden.results\n"
        "import parity.systems.golden.text, parity.systems.golden.not_judged\n"
        "print(*(name for name in ('torch', 'tensorflow', 'keras') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_record_is_in_the_table_of_the_readme():
    text = (OWN / "README.md").read_text(encoding="utf-8")
    for path in [*OWN.glob("*.npz"), *OWN.glob("*.json")]:
        assert f"`{path.stem}" in text


def test_training_limits_are_the_figures_of_the_readme():
    text = (OWN / "README.md").read_text(encoding="utf-8")
    assert "training losses 1e-6 (wgan-gp: 1e-5" in text and LIMITS["loss"] == 1e-6 and LIMITS["wgan-gp loss"] == 1e-5
    assert "final weights 1e-5 relative" in text and LIMITS["final weight"] == 1e-5
    assert "misses by 1e-2 and more" in text and LARGEST_LIMIT == 1e-2


def test_every_training_setting_has_the_loss_it_is_named_after(tmp_path):
    settings = json.loads((copied(tmp_path, "specgan_training") / "specgan_training.json").read_text())
    record = Record(tmp_path / "specgan_training", settings, {})
    assert all(record.setting(SpecGANTrainingSetting, settings[name], name).loss == name for name in settings)
