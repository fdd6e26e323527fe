"""Small models of Keras against torchvision's and timm's: verdicts, causes and layers, against measured truths."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from benchmarks.libraries import small_pairs, truth
from benchmarks.libraries.judging import judge
from benchmarks.libraries.pair import LibraryPair, Variant, touched
from benchmarks.library_pairs import measured
from parity import verify

PAIRS = {pair.name: pair for pair in small_pairs.pairs()}
RESNET = "ResNet, two blocks / torchvision"
DENSENET = "DenseNet, four layers / timm"
MOBILENET = "MobileNetV3, three blocks / torchvision"


@dataclass(frozen=True)
class Case:
    """A pair as its libraries have it, or repaired; ``causes``: how many layers of the port have each."""

    name: str
    repaired: bool
    causes: dict[str, int] = field(default_factory=dict)

    @property
    def pair(self) -> LibraryPair:
        return PAIRS[self.name]

    @property
    def variant(self) -> Variant:
        return Variant(self.pair, () if self.repaired else self.pair.differences, self.name)


CASES = [
    Case(RESNET, False, {"batchnorm-epsilon": 9, "batchnorm-momentum": 9, "missing-bias": 9, "stride": 2}),
    Case(RESNET, True),
    Case(DENSENET, False, {"batchnorm-epsilon": 13, "batchnorm-momentum": 13}),
    Case(DENSENET, True),
    Case(MOBILENET, False, {"batchnorm-momentum": 10, "padding-alignment": 3}),
    Case(MOBILENET, True),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case.name}{', repaired' * case.repaired}")
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_what_is_said_of_a_pair_is_true(case: Case):
    assert measured(case.variant).faithful(truth.SINGLE if case.pair.single else truth.ROUNDING) == (
        "training" if case.repaired else ""
    )


def test_each_cause_is_named_once_at_its_layers_and_nothing_else(case: Case):
    verdict = verify(case.pair.reference(), case.variant.port())
    row = judge(case.variant, verdict)
    assert (row.label, row.detail) == ("right", ""), verdict.to_text()
    assert verdict.passed is case.repaired
    assert verdict.coverage.judged == verdict.coverage.total


def test_a_repair_touches_as_many_layers_as_the_case_says(case: Case):
    counts = {d.kinds[0]: len(touched(case.pair, d)) for d in case.variant.left}
    assert counts == case.causes
