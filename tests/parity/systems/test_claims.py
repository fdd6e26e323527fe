"""The check-list's claims, seed 000: all of them, each by its measurement, and each able to come out otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from parity.report import render
from parity.report.strings import STRINGS
from parity.systems.claims import measure
from parity.systems.claims.exhibits import gallery, padding_copies
from parity.systems.claims.seed_000 import CLAIMS, DOCUMENT
from parity.systems.claims.seed_000_texts import SECTIONS, TEXTS
from parity.systems.claims.twins import AGREE, Twins

FALSE = {"padding", "complete", "init", "no-features", "syntax", "usage.latent", "score", "score.g", "score.d"}
CONDITIONAL = {
    *(f"{letter}.layer{index}" for letter in "gd" for index in range(5)),
    *("g.order", "d.flatten", "quality.view", "norm.modes", "nc", "dcgan.channels", "dcgan.layers"),
}
UNMEASURED = {"features.better", "quality.tests", "files"}


@pytest.fixture(scope="module")
def twins() -> Twins:
    return Twins()


@pytest.fixture(scope="module")
def results(twins: Twins) -> dict[str, dict]:
    (document,) = measure(twins, [DOCUMENT])
    return {result["id"].removeprefix("000."): result for result in document["claims"]}


def test_every_claim_has_words_and_a_measurement():
    assert list(CLAIMS) == list(TEXTS)
    for sections, english, chinese in TEXTS.values():
        assert set(sections.split()) <= set(SECTIONS)
        assert english.endswith(".") and chinese.endswith("。")


def test_every_section_of_the_check_list_has_claims():
    assert {section for sections, _, _ in TEXTS.values() for section in sections.split()} == set(SECTIONS)


def test_verdicts(results):
    def named(verdict):
        return {name for name, result in results.items() if result["verdict"] == verdict}

    assert named("false") == FALSE
    assert named("conditional") == CONDITIONAL
    assert named("not measurable") == UNMEASURED
    assert named("true") == set(TEXTS) - FALSE - CONDITIONAL - UNMEASURED


def test_measurements_are_told_in_both_languages(results):
    for name, result in results.items():
        assert result["measured"]["en"] and result["measured"]["zh"], name
        assert result["verdict"] in STRINGS
    assert "G 19,065,345, D 17,427,969" in results["score.parameters"]["measured"]["en"]


def test_claims_stand_in_the_report(results):
    document = {"id": "000", "title": DOCUMENT.title, "claims": list(results.values())}
    files = render({"claims": [document]})
    assert all(f'id="claim-000.{name}"' in files["index.html"] for name in results)
    assert "68 statements: 39 true, 17 conditional, 9 false, 3 not measurable." in files["report.md"]


def test_the_padding_would_hold_if_its_values_did(twins, results, monkeypatch):
    for twin in twins.both:
        monkeypatch.setitem(vars(twin), "direct", twin.exact)
    names = ("padding", "syntax", "score.g", "score.d", "g.layer2", "d.layer0")
    assert {CLAIMS[name](twins).verdict for name in names} == {"true"}


def test_a_wrong_shape_makes_a_layer_false(twins, results, monkeypatch):
    monkeypatch.setitem(twins.generator.port_shapes, "upconv_1", (2, 256, 17, 17))
    assert CLAIMS["g.layer1"](twins).verdict == CLAIMS["flow.g"](twins).verdict == "false"
    assert CLAIMS["score.shapes"](twins).verdict == "false"


def test_the_channel_order_follows_the_measurement(twins, results, monkeypatch):
    g = twins.generator
    unordered = g.port(ordered=False)
    monkeypatch.setattr(g, "port", lambda **options: g.exact)
    assert CLAIMS["g.order"](twins).verdict == "true"
    monkeypatch.setattr(g, "port", lambda **options: unordered)
    monkeypatch.setitem(vars(g), "exact", unordered)
    assert CLAIMS["g.order"](twins).verdict == "false"


@pytest.mark.parametrize(
    ("name", "network", "layer", "attribute", "value"),
    [
        ("d.activation", "discriminator", "downconv_3_lrelu", "negative_slope", 0.1),
        ("score.activations", "discriminator", "downconv_0_lrelu", "negative_slope", 0.3),
        ("kernel", "generator", "upconv_2", "kernel_size", (4, 4)),
        ("kernels-kept", "discriminator", "downconv_2", "kernel_size", (3, 3)),
        ("stride", "discriminator", "downconv_4", "stride", (1, 1)),
        ("channels", "discriminator", "downconv_0", "in_channels", 3),
    ],
)
def test_a_changed_setting_is_noticed(twins, results, monkeypatch, name, network, layer, attribute, value):
    assert CLAIMS[name](twins).verdict == "true"
    monkeypatch.setattr(twins.get(network).exact.get_submodule(layer), attribute, value)
    assert CLAIMS[name](twins).verdict == "false"


def test_a_squashed_output_is_noticed(twins, results, monkeypatch):
    from torch import nn

    d, g = twins.discriminator, twins.generator
    monkeypatch.setitem(vars(d), "exact", nn.Sequential(d.exact, nn.Sigmoid()))
    monkeypatch.setitem(vars(g), "exact", nn.Sequential(g.exact, nn.Linear(128, 128).double(), nn.ReLU()))
    assert CLAIMS["d.output"](twins).verdict == "false"
    names = ("g.activations", "g.layers", "nothing-added", "score.parameters", "quality.module")
    assert {name: CLAIMS[name](twins).verdict for name in names} == dict.fromkeys(names, "false")


def test_exhibits_show_the_direct_copy_wrong_and_the_mirrored_one_right(twins):
    rows = padding_copies(twins)
    assert len(rows) == 4
    assert all(row["direct"] > 0.1 and row["mirrored"] < AGREE for row in rows)


def test_exhibits_hold_one_image_per_system_and_the_wrong_one(twins):
    apart = [np.abs(item["reference"] - item["port"]).max() for item in gallery(twins)]
    assert max(apart[:2]) < AGREE and apart[2] > 0.1
    page = render({"gallery": gallery(twins), "padding_study": {"measured": padding_copies(twins)}})["index.html"]
    assert page.count("data:image/png") == 9


def test_figures_repeat(twins, results):
    for name in ("init", "quality.apply", "usage.latent"):
        assert CLAIMS[name](twins).en == results[name]["measured"]["en"]
