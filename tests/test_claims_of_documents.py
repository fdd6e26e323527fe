"""The claims of every other document: complete, each by its measurement, and each able to come out otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from parity.claims import DOCUMENTS, measure
from parity.claims.measured import Claim
from parity.claims.twins import Twins
from parity.report import render
from parity.report.strings import STRINGS

LATER = {document.number: document for document in DOCUMENTS[1:]}
# What of each document is not simply true.
FALSE = {"001": {"vs.g.upsampling", "vs.g.norm", "vs.momentum"}}
CONDITIONAL = {"001": {"d.padding", "vs.g.initial", "vs.d.last", "vs.t.clamp"}}
UNMEASURED = {"001": {"t.data", "t.hardware", "s.dropout", "l.results"}}
COUNTS = {"001": 47}


@pytest.fixture(scope="module")
def twins() -> Twins:
    return Twins()


@pytest.fixture(scope="module")
def results(twins: Twins) -> dict[str, dict]:
    return {result["id"]: result for document in measure(twins, list(LATER.values())) for result in document["claims"]}


def claim(name: str) -> Claim:
    number, _, rest = name.partition(".")
    (found,) = (one for one in LATER[number].claims if one.name == rest)
    return found


@pytest.mark.parametrize("number", LATER)
def test_every_claim_has_words_and_every_section_claims(number):
    document = LATER[number]
    names = [one.name for one in document.claims]
    assert len(names) == len(set(names)) == COUNTS[number]
    assert {section for one in document.claims for section in one.sections.split()} == set(document.sections)
    for one in document.claims:
        assert one.en.endswith(".") and one.zh.endswith("。"), one.name
        assert not any("\u4e00" <= letter <= "\u9fff" for letter in one.en), one.name


@pytest.mark.parametrize("number", LATER)
def test_verdicts(results, number):
    own = {name.partition(".")[2]: result["verdict"] for name, result in results.items() if name.startswith(number)}
    found = {verdict: {name for name, one in own.items() if one == verdict} for verdict in set(own.values())}
    assert found["false"] == FALSE[number]
    assert found["conditional"] == CONDITIONAL[number]
    assert found["not measurable"] == UNMEASURED[number]
    assert found["true"] == set(own) - FALSE[number] - CONDITIONAL[number] - UNMEASURED[number]


def test_measurements_are_told_in_both_languages(results):
    for name, result in results.items():
        assert result["measured"]["en"] and result["measured"]["zh"], name
        assert not any("\u4e00" <= letter <= "\u9fff" for letter in result["measured"]["en"]), name
        assert result["verdict"] in STRINGS


def test_documents_stand_one_under_the_other(results):
    documents = [
        {
            "id": number,
            "title": document.title,
            "claims": [result for name, result in results.items() if name.startswith(number)],
        }
        for number, document in LATER.items()
    ]
    files = render({"claims": documents})
    places = [files["index.html"].index(f'id="claims-{number}-table"') for number in LATER]
    assert places == sorted(places)
    assert all(f'id="claim-{name}"' in files["index.html"] for name in results)
    for number, document in LATER.items():
        assert f"### {number}: {document.title['en']}\n\n{COUNTS[number]} statements: " in files["report.md"]
        assert f"### {number}: {document.title['zh']}\n\n{COUNTS[number]} 条声明：" in files["report.zh.md"]


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("001.vs.momentum", ("2.398, 2.999", "0.599, 2.676")),
        ("001.vs.t.clamp", ("p = 0: torch 100, Keras 16.12", "p = 1e-09: torch 20.72, Keras 16.12")),
        ("001.t.batch", ("3,000 steps",)),
        ("001.t.cosine", ("2.0e-4 → 1.1e-4 → 1.0e-5",)),
    ],
)
def test_figures_that_contradict_a_document_are_told(results, name, figures):
    for figure in figures:
        assert figure in results[name]["measured"]["en"]


@pytest.mark.parametrize(
    ("name", "network", "layer", "attribute", "value"),
    [
        ("001.g.block2", "generator", "upconv_1_bn", "eps", 1e-3),
        ("001.d.block3", "discriminator", "downconv_2_lrelu", "negative_slope", 0.1),
    ],
)
def test_a_block_that_is_not_as_written_is_noticed(twins, results, monkeypatch, name, network, layer, attribute, value):
    """The written block keeps its own settings: the reference with another one no longer gives its values."""
    from parity.claims.twins import Twin

    class Other(Twins):
        def get(self, *arguments, **options):
            return other

    other = Twin("upsample_dcgan", f"UpsampleDCGAN{network.capitalize()}")
    keras = other.reference.get_layer(layer)
    setattr(keras, {"eps": "epsilon"}.get(attribute, attribute), value)
    assert claim(name).measure(twins).verdict == "true"
    assert claim(name).measure(Other()).verdict == "false"


def test_a_wrong_size_is_noticed(twins, results, monkeypatch):
    g, d = (twins.get(network, "upsample_dcgan") for network in ("generator", "discriminator"))
    monkeypatch.setitem(g.port_shapes, "upconv_1_lrelu", (2, 128, 17, 17))
    monkeypatch.setitem(d.port_shapes, "flatten", (2, 8191))
    assert claim("001.g.block2").measure(twins).verdict == "false"
    assert claim("001.d.flatten").measure(twins).verdict == "false"


def test_readings_follow_what_the_code_does(twins, results, monkeypatch):
    from torch import nn

    g, d = (twins.get(network, "upsample_dcgan") for network in ("generator", "discriminator"))
    monkeypatch.setattr(d.modules("ChannelDropout")[0], "p", 0.5)
    assert claim("001.d.dropout").measure(twins).verdict == "false"
    monkeypatch.setattr(g.layers("LeakyReLU")[0], "negative_slope", 0.1)
    assert claim("001.vs.g.activation").measure(twins).verdict == "false"
    monkeypatch.setitem(d.outputs, "output_sigmoid", np.array([1.5, 0.5]))
    assert claim("001.d.probability").measure(twins).verdict == "false"
    upsample = nn.Upsample
    monkeypatch.setattr(nn, "Upsample", lambda scale_factor, mode="bilinear": upsample(None, scale_factor, mode))
    assert claim("001.vs.g.upsampling").measure(twins).verdict == "true"


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("001.t.smoothing", "loss.label_smoothing=0.2"),
        ("001.t.cosine", "optimizer.final_lr=0.0"),
        ("001.t.adam", "optimizer.beta1=0.9"),
        ("001.t.batch", "training.batch_size=804"),
        ("001.t.fixed", "optimizer.lr=0.001"),
    ],
)
def test_another_configuration_is_noticed(twins, results, monkeypatch, name, override):
    from parity.claims import seed_001_training

    own = seed_001_training.log_run
    monkeypatch.setattr(seed_001_training, "log_run", lambda *words: own(*words, override))
    assert claim(name).measure(twins).verdict == "false"
