"""The claims of every other document: complete, each by its measurement, and each able to come out otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity.report import render
from parity.report.strings import STRINGS
from parity.systems.chains import Twin, Twins
from parity.systems.claims import DOCUMENTS, measure
from parity.systems.claims.document import Claim
from parity.systems.claims.measures import settings

ROOT = Path(__file__).resolve().parents[3]
LATER = {document.number: document for document in DOCUMENTS[1:]}
# What of each document is not simply true.
FALSE = {
    "001": {"vs.g.upsampling", "vs.g.norm", "vs.momentum"},
    "002": set(),
    "003": {"d.differentiable", "init"},
    "004": {"label.projected", "attention.first", "attention.second", "loss.penalty", "d.instead"},
}
CONDITIONAL = {
    "001": {"d.padding", "vs.g.initial", "vs.d.last", "vs.t.clamp"},
    "002": {"d.score"},
    "003": {"d.activation", "d.sigmoid", "norm.defaults", "loop.epochs", "tips.strong"},
    "004": {
        *("sn.stock", "schedule", "label.huge", "g.depth", "loss.perceptual", "d.layernorm", "scales.pool"),
        *("accumulation", "ema"),
    },
}
UNMEASURED = {
    "001": {"t.data", "t.hardware", "s.dropout", "l.results"},
    "002": {"convincing"},
    "003": {"norm.collapse", "tips.stable"},
    "004": {"loss.stable", "progressive", "better"},
}
UNCHANGED = "data.flip=none data.rotate=0 data.jitter=0"
COUNTS = {"001": 47, "002": 15, "003": 28, "004": 44}


@pytest.fixture(scope="module")
def twins() -> Twins:
    return Twins()


@pytest.fixture(scope="module")
def results(twins: Twins) -> dict[str, dict]:
    return {result["id"]: result for document in measure(twins, list(LATER.values())) for result in document["claims"]}


def claim(name: str) -> Claim:
    number, _, rest = name.partition(".")
    (found,) = (one for one in LATER[number].claims if one.id == rest)
    return found


def verdict(name: str, twins: Twins) -> str:
    one = claim(name)
    return one.verdict(one.figures(twins, {}))


@pytest.mark.parametrize("number", LATER)
def test_every_claim_has_words_and_every_section_claims(number):
    document = LATER[number]
    names = [one.id for one in document.claims]
    assert len(names) == len(set(names)) == COUNTS[number]
    assert {section for one in document.claims for section in one.sections} == set(document.sections)
    for one in document.claims:
        assert one.en.endswith(".") and one.zh.endswith("。"), one.id
        assert not any("\u4e00" <= letter <= "\u9fff" for letter in one.en), one.id


@pytest.mark.parametrize("number", LATER)
def test_verdicts(results, number):
    own = {name.partition(".")[2]: result["verdict"] for name, result in results.items() if name.startswith(number)}
    found = {verdict: {name for name, one in own.items() if one == verdict} for verdict in set(own.values())}
    assert found.get("false", set()) == FALSE[number]
    assert found.get("conditional", set()) == CONDITIONAL[number]
    assert found.get("not measurable", set()) == UNMEASURED[number]
    assert found["true"] == set(own) - FALSE[number] - CONDITIONAL[number] - UNMEASURED[number]


def test_the_case_study_states_the_counts(results):
    verdicts = [result["verdict"] for result in results.values()]
    numbers = [verdicts.count(verdict) for verdict in ("true", "conditional", "false", "not measurable")]
    words = " ".join((ROOT / "docs" / "case-study-specgan.md").read_text("utf-8").split())
    assert f"Of {len(verdicts)} statements of the other systems' documents" in words
    assert "{} are true, {} conditional, {} false, {} cannot be measured".format(*numbers) in words
    assert "all 68 statements of that check-list: 39 are true, 17 conditional, 9 false, 3 cannot be measured" in words


def test_measurements_are_worded_in_both_languages(results):
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
        ("002.d.score", ("1 score at 128×128 but 25 at the generator's 256×256",)),
        ("002.spectrogram", ("32,768 samples give [N, 1, 256, 256]",)),
        ("003.g.code", ("3,574,656 in it, 3,574,656 in Keras",)),
        ("003.d.code", ("2,763,520 in it, 2,763,520 in Keras",)),
        ("003.tips.strong", ("4.5e-5", "0.99995")),
        ("004.label.huge", ("393,216 parameters, 0.87% of D's 45,133,568",)),
        ("004.label.projected", ("21.5 times larger: 8,454,912 parameters instead of 393,216",)),
        ("004.g.depth", ("7 transposed convolutions",)),
        ("004.attention.first", ("it follows 16×16",)),
        ("004.attention.second", ("it follows 64×64", "1,024 MiB")),
        ("004.scales.pool", ("becomes 0.444, with Keras's SAME 1.000",)),
        ("004.loss.penalty", ("(1024 norms), not over each sample (4 norms)",)),
    ],
)
def test_figures_that_contradict_a_document_are_reported(results, name, figures):
    for figure in figures:
        assert figure in results[name]["measured"]["en"]


@pytest.mark.parametrize(
    ("name", "network", "layer", "attribute", "value"),
    [
        ("001.g.block2", "upsample_dcgan generator", "upconv_1_bn", "epsilon", 1e-3),
        ("001.d.block3", "upsample_dcgan discriminator", "downconv_2_lrelu", "negative_slope", 0.1),
        ("002.g.last", "soundgan generator nz=8 ngf=2", "upconv_6", "kernel", 0.0),
        ("002.activations", "soundgan generator nz=8 ngf=2", "upconv_2_lrelu", "negative_slope", 0.1),
        ("003.d.code", "dcgan discriminator", "downconv_1_bn", "epsilon", 1e-3),
        ("003.norm.defaults", "dcgan generator", "upconv_0_bn", "momentum", 0.99),
    ],
)
def test_another_layer_is_noticed(twins, results, monkeypatch, name, network, layer, attribute, value):
    """The layers written in a document keep their settings: another reference no longer gives their values."""
    system, kind, *options = network.split()
    other = Twin(system, kind, **{key: int(number) for key, number in (option.split("=") for option in options)})
    assert other.exact is not None  # the port keeps what the reference loses
    own = other.reference.get_layer(layer)
    if attribute == "kernel":
        own.kernel.assign(own.kernel * value)
    else:
        setattr(own, attribute, value)
    monkeypatch.setitem(twins._twins, network, other)
    assert results[name]["verdict"] != "false"
    assert verdict(name, twins) == "false"


def test_a_wrong_size_is_noticed(twins, results, monkeypatch):
    g, d = (twins[f"upsample_dcgan {network}"] for network in ("generator", "discriminator"))
    monkeypatch.setitem(g.port_shapes, "upconv_1_lrelu", (2, 128, 17, 17))
    monkeypatch.setitem(d.port_shapes, "flatten", (2, 8191))
    assert verdict("001.g.block2", twins) == "false"
    assert verdict("001.d.flatten", twins) == "false"


def test_measurements_follow_what_the_code_does(twins, results, monkeypatch):
    from torch import nn

    g, d = (twins[f"upsample_dcgan {network}"] for network in ("generator", "discriminator"))
    monkeypatch.setattr(d.modules("ChannelDropout")[0], "p", 0.5)
    assert verdict("001.d.dropout", twins) == "false"
    monkeypatch.setattr(g.layers("LeakyReLU")[0], "negative_slope", 0.1)
    assert verdict("001.vs.g.activation", twins) == "false"
    monkeypatch.setitem(d.outputs, "output_sigmoid", np.array([1.5, 0.5]))
    assert verdict("001.d.probability", twins) == "false"
    upsample = nn.Upsample
    monkeypatch.setattr(nn, "Upsample", lambda scale_factor, mode="bilinear": upsample(None, scale_factor, mode))
    assert verdict("001.vs.g.upsampling", twins) == "true"


@pytest.mark.parametrize(
    ("name", "preset", "override", "expected"),
    [
        ("001.t.smoothing", "upsample_dcgan_anime", "loss.label_smoothing=0.2", "false"),
        ("001.t.cosine", "upsample_dcgan_anime", "optimizer.final_lr=0.0", "false"),
        ("001.t.adam", "upsample_dcgan_anime", "optimizer.beta1=0.9", "false"),
        ("001.t.batch", "upsample_dcgan_anime", "training.batch_size=804", "false"),
        ("001.t.fixed", "upsample_dcgan_anime", "optimizer.lr=0.001", "false"),
        ("003.loop.adam", "dcgan", "optimizer.beta1=0.9", "false"),
        ("003.loop.sum", "dcgan", "loss.d_scale=0.5", "false"),
        ("003.loop.noise", "dcgan", "training.latents=uniform", "false"),
        ("003.loop.epochs", "dcgan", "training.batch_size=100", "true"),
        ("002.spectrogram", "soundgan", "model.image_size=128", "false"),
        ("004.smoothing", "conditional_dcgan", "loss.label_smoothing=0.2", "false"),
        ("004.schedule", "conditional_dcgan", "optimizer.schedule=cosine", "true"),
        ("004.balance", "conditional_dcgan", "data.balance=false", "false"),
        ("004.augmentation", "conditional_dcgan", UNCHANGED, "false"),
        ("004.ttur", "conditional_dcgan_improved", "optimizer.lr_d=0.0001", "false"),
        ("004.g.depth", "conditional_dcgan", "model.image_size=128", "false"),
        ("004.g.layers", "conditional_dcgan", "model.image_size=128", "false"),
        ("004.d.layers", "conditional_dcgan", "model.batchnorm_d=false", "false"),
        ("004.d.removed", "conditional_dcgan_improved", "model.batchnorm_d=true", "false"),
        ("004.attention.at64", "conditional_dcgan_improved", "model.attention_at=[16,32]", "false"),
        ("004.improved.g", "conditional_dcgan_improved", "model.attention_at=[16]", "false"),
        ("004.label.map", "conditional_dcgan", "model.label=replicated", "false"),
    ],
)
def test_another_preset_is_noticed(twins, results, monkeypatch, name, preset, override, expected):
    load = settings.load
    changed = lambda one, words=(): load(one, [*words, *(override.split() if one == preset else [])])  # noqa: E731
    monkeypatch.setattr(settings, "load", changed)
    assert results[name]["verdict"] != expected
    assert verdict(name, twins) == expected


def test_formulas_are_held_against_the_implementations(twins, results, monkeypatch):
    import torch

    import torch_impl.attention
    import torch_impl.features
    import torch_impl.losses
    import torch_impl.trainer

    monkeypatch.setitem(torch_impl.losses.D_LOSSES, "hinge", lambda cfg, real, fake: (1 - real).mean())
    monkeypatch.setattr(torch_impl.features, "_gram", lambda x: x.flatten(2) @ x.flatten(2).mT)
    monkeypatch.setattr(torch_impl.attention, "_block", lambda query, key, value: value @ torch.ones(30, 30).double())
    monkeypatch.setattr(torch_impl.losses, "gradient_penalty", lambda *arguments: torch.tensor(0.5))
    penalty = claim("004.loss.penalty")
    assert penalty.words(penalty.figures(twins, {}), "en") != results["004.loss.penalty"]["measured"]["en"]
    for name in ("loss.hinge", "texture", "attention.formula"):
        assert results[f"004.{name}"]["verdict"] == "true"
        assert verdict(f"004.{name}", twins) == "false", name


def test_normalisation_is_held_against_stock_layers(twins, results, monkeypatch):
    import keras
    from torch import nn

    import tf_impl.conditional_dcgan

    same = keras.layers.AveragePooling2D(3, 2, "same")
    monkeypatch.setattr(tf_impl.conditional_dcgan, "_half", lambda i, images: same(images))
    assert verdict("004.scales.pool", twins) == "false"
    monkeypatch.setattr(nn, "BatchNorm2d", lambda channels, **settings: nn.Identity())
    assert verdict("004.d.conflict", twins) == "false"
    monkeypatch.setattr(nn, "GroupNorm", lambda groups, channels: nn.Identity())
    assert verdict("004.d.instead", twins) == "true"
