"""Claims of the SpecGAN check-list, each able to come out otherwise; how documents are read; the report's exhibits."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from parity.report import render
from parity.report.strings import STRINGS
from parity.systems.chains import AGREE, Twins
from parity.systems.claims import DOCUMENTS, measure
from parity.systems.claims.document import Claim, ClaimError, read
from parity.systems.claims.wording import worded
from parity.systems.exhibits import gallery, padding_copies

DOCUMENT = DOCUMENTS[0]
CLAIMS = {claim.id: claim for claim in DOCUMENT.claims}
FALSE = {"padding", "complete", "init", "no-features", "syntax", "usage.latent", "score", "score.g", "score.d"}
CONDITIONAL = {
    *(f"{letter}.layer{index}" for letter in "gd" for index in range(5)),
    *("g.order", "d.flatten", "quality.view", "norm.modes", "nc", "dcgan.channels", "dcgan.layers"),
}
UNMEASURED = {"features.better", "quality.tests", "files"}
BOTH = ("specgan generator", "specgan discriminator")


@pytest.fixture(scope="module")
def twins() -> Twins:
    return Twins()


@pytest.fixture(scope="module")
def results(twins: Twins) -> dict[str, dict]:
    (document,) = measure(twins, [DOCUMENT])
    return {result["id"].removeprefix("000."): result for result in document["claims"]}


def verdict(name: str, twins: Twins) -> str:
    claim = CLAIMS[name]
    return claim.verdict(claim.figures(twins, {}))


def test_every_section_of_the_check_list_has_claims():
    assert {section for claim in DOCUMENT.claims for section in claim.sections} == set(DOCUMENT.sections)
    assert all(claim.en.endswith(".") and claim.zh.endswith("。") for claim in DOCUMENT.claims)


def test_verdicts(results):
    def named(verdict):
        return {name for name, result in results.items() if result["verdict"] == verdict}

    assert named("false") == FALSE
    assert named("conditional") == CONDITIONAL
    assert named("not measurable") == UNMEASURED
    assert named("true") == set(CLAIMS) - FALSE - CONDITIONAL - UNMEASURED


def test_measurements_are_worded_in_both_languages(results):
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
    for network in BOTH:
        monkeypatch.setitem(twins[network].ports, "direct", twins[network].exact)
    names = ("padding", "syntax", "score.g", "score.d", "g.layer2", "d.layer0")
    assert {name: verdict(name, twins) for name in names} == dict.fromkeys(names, "true")


def test_the_score_follows_from_the_claims_that_it_sums_up():
    score = CLAIMS["score"]
    names = score.follows_from
    for wrong in (None, *names):
        verdicts = {name: "false" if name == wrong else "true" for name in names}
        assert score.verdict(score.figures(Twins(), verdicts)) == ("true" if wrong is None else "false")


def test_a_wrong_shape_makes_a_layer_false(twins, results, monkeypatch):
    monkeypatch.setitem(twins["specgan generator"].port_shapes, "upconv_1", (2, 256, 17, 17))
    names = ("g.layer1", "flow.g", "score.shapes")
    assert {name: verdict(name, twins) for name in names} == dict.fromkeys(names, "false")


def test_the_channel_order_follows_the_measurement(twins, results, monkeypatch):
    g = twins["specgan generator"]
    unordered = g.copied("unordered")
    monkeypatch.setitem(g.ports, "unordered", g.exact)
    assert verdict("g.order", twins) == "true"
    monkeypatch.setitem(g.ports, "unordered", unordered)
    monkeypatch.setitem(g.ports, "exact", unordered)
    assert verdict("g.order", twins) == "false"


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
    assert verdict(name, twins) == "true"
    monkeypatch.setattr(twins[f"specgan {network}"].exact.get_submodule(layer), attribute, value)
    assert verdict(name, twins) == "false"


def test_a_squashed_output_is_noticed(twins, results, monkeypatch):
    from torch import nn

    g, d = (twins[name] for name in BOTH)
    monkeypatch.setitem(d.ports, "exact", nn.Sequential(d.exact, nn.Sigmoid()))
    monkeypatch.setitem(g.ports, "exact", nn.Sequential(g.exact, nn.Linear(128, 128).double(), nn.ReLU()))
    names = ("d.output", "g.activations", "g.layers", "nothing-added", "score.parameters", "quality.module")
    assert {name: verdict(name, twins) for name in names} == dict.fromkeys(names, "false")


def test_exhibits_show_the_direct_copy_wrong_and_the_mirrored_one_right(twins):
    rows = padding_copies(twins)
    assert len(rows) == 4
    assert all(row["direct"] > 0.1 and row["mirrored"] < AGREE for row in rows)


def test_exhibits_hold_one_image_per_system_and_the_wrong_one(twins):
    images = gallery(twins)
    apart = [np.abs(item["reference"] - item["port"]).max() for item in images]
    assert max(apart[:2]) < AGREE and apart[2] > 0.1
    page = render({"gallery": images, "padding_study": {"measured": padding_copies(twins)}})["index.html"]
    assert page.count("data:image/png") == 9


def test_figures_repeat(twins, results):
    for name in ("init", "quality.apply", "usage.latent"):
        claim = CLAIMS[name]
        assert claim.words(claim.figures(twins, {}), "en") == results[name]["measured"]["en"]


DEPTH = {"id": "one", "sections": ["s"], "en": "One.", "zh": "一。", "measure": "receptive_fields", "networks": [],
         "layers": 1, "measured": {"en": "{fields}", "zh": "二"}}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"measure": "no_such"}, "unknown measure 'no_such': use one of "),
        ({"depth": 3}, "receptive_fields: got an unexpected keyword argument 'depth'"),
        ({"measured": None}, "receptive_fields leaves false_unless and measured to the row that uses it"),
        ({"false_unless": "fields[0] >"}, "'fields[0] >' is no expression"),
        ({"zh": None}, "zh Input should be a valid string"),
        ({"sections": ["s", "t"]}, "unknown t"),
        ({"not_measurable": {"en": "why", "zh": "因"}}, "expected one of measure, follows_from and not_measurable"),
        ({"measure": None}, "expected one of measure, follows_from and not_measurable"),
    ],
)
def test_a_bad_row_is_reported_with_file_claim_and_reason(tmp_path, changes, reason):
    path = tmp_path / "some_document.yaml"
    content = {"number": "9", "title": {}, "sections": {"s": {"en": "S", "zh": "节"}}, "claims": [{**DEPTH, **changes}]}
    path.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(ClaimError) as caught:
        read(path)
    assert str(caught.value).startswith("some_document.yaml: claim one: ") and reason in str(caught.value)


def test_two_claims_of_one_name_are_rejected(tmp_path):
    path = tmp_path / "some_document.yaml"
    content = {"number": "9", "title": {}, "sections": {"s": {"en": "S", "zh": "节"}}, "claims": [DEPTH, DEPTH]}
    path.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(ClaimError, match="some_document.yaml: claim one: a second claim of this name"):
        read(path)


def test_a_verdict_follows_from_two_conditions():
    row = {**DEPTH, "false_unless": "fields", "conditional_unless": "max(fields) < 5"}
    claim = Claim.model_validate(row)
    assert [claim.verdict({"fields": fields}) for fields in ([], [9], [3])] == ["false", "conditional", "true"]


def test_conditions_reach_nothing_but_figures_and_a_few_functions():
    claim = Claim.model_validate({**DEPTH, "false_unless": "__import__('os')"})
    with pytest.raises(NameError):
        claim.verdict({"fields": []})


def test_figures_know_how_they_are_written():
    figures = {"error": 1.3e-12, "shape": (2, 4, 4), "many": [1, 2], "kinds": {"Conv2d": 5}, "yes": True, "share": 0.25}
    text = "{error} {shape} {many} {many:→} {kinds} {yes} {share:.0%}"
    assert worded(text, "en", figures) == "1.3e-12 [N, 4, 4] 1, 2 1 → 2 5 Conv2d True 25%"
    assert worded(text, "zh", figures) == "1.3e-12 [N, 4, 4] 1、2 1 → 2 5 Conv2d 是 25%"
