"""Matching by alignment, data flow, names and mapping, on steps written by hand."""

from __future__ import annotations

import pytest

from parity.capture.steps import Step, Trace
from parity.match.alignment import match_steps
from parity.match.data_flow import all_names, order_of_need, step_sources, unknown_values
from parity.match.similarity import name_similarity, similarity, torch_shape
from parity.verdict import UnusableInput

INPUT = "input 0"


def conv(name, *sources, wide=4, named=True, torch=False):
    """A 3x3 convolution of as many channels in as out."""
    shapes = {"kernel": (wide, wide, 3, 3) if torch else (3, 3, wide, wide), "bias": (wide,)}
    return Step(name, "conv", {"rank": 2}, shapes, "conv", sources=(sources or (INPUT,),), named=named)


def relu(name, *sources):
    return Step(name, "activation", {"function": "relu"}, sources=(sources,))


def merge(name, operation, *sources):
    return Step(name, "merge", {"operation": operation}, sources=tuple((source,) for source in sources))


def reshape(name, *sources):
    return Step(name, "reshape", {}, sources=(sources,))


def trace(*steps, ends=None):
    for step in steps:
        step.input_shape = step.output_shape = (2, 8, 8, 4)
    return Trace(list(steps), ends=((steps[-1].name,),) if ends is None else ends)


def pairs(reference, port, mapping=None) -> dict[str, str]:
    return {match.key: match.port.name for match in match_steps(reference, port, mapping).matches}


def test_a_chain_is_matched_in_order_regardless_of_names():
    reference = trace(conv("a"), relu("r", "a"), conv("b", "r"), relu("s", "b"))
    port = trace(conv("x", torch=True), relu("f", "x"), conv("y", "f", torch=True), relu("f#2", "y"))
    assert pairs(reference, port) == {"a": "x", "r": "f", "b": "y", "s": "f#2"}


def test_names_do_not_reverse_a_chain():
    reference = trace(conv("a"), conv("b", "a"), conv("c", "b"))
    port = trace(conv("c", torch=True), conv("b", "c", torch=True), conv("a", "b", torch=True))
    assert pairs(reference, port) == {"a": "c", "b": "b", "c": "a"}


def test_a_missing_layer_leaves_the_others_matched():
    reference = trace(conv("a"), relu("r", "a"), conv("b", "r", wide=5), relu("s", "b"), conv("c", "s", wide=6))
    port = trace(conv("x", torch=True), relu("f", "x"), conv("z", "f", wide=6, torch=True))
    matching = match_steps(reference, port)
    assert {match.key: match.port.name for match in matching.matches} == {"a": "x", "r": "f", "c": "z"}
    assert [step.name for step in matching.only_reference] == ["b", "s"]
    assert matching.only_port == []


def test_a_layer_at_another_place_is_matched_out_of_order():
    norm = dict(kind="batchnorm", attributes={}, shapes={"gamma": (4,)}, layout="batchnorm")
    reference = trace(conv("a"), Step("n", **norm, sources=(("a",),)), relu("r", "n"))
    port = trace(conv("x", torch=True), relu("f", "x"), Step("m", **norm, sources=(("f",),)))
    matching = match_steps(reference, port)
    assert {match.key: (match.port.name, match.in_order) for match in matching.matches} == {
        "a": ("x", True), "n": ("m", True), "r": ("f", False),
    }  # fmt: skip


def branches(first, second, joined, torch=False, names=("a", "b")):
    """Two convolutions with an activation each, run in the order ``first``, ``second``."""
    steps = []
    for place in (first, second):
        name = names[place]
        steps += [conv(name, named=not name.startswith("_"), torch=torch), relu(f"{name}_relu", name)]
    merged = merge("cat", "concatenate", *(f"{names[place]}_relu" for place in joined))
    return trace(*steps, merged)


def test_branches_that_run_in_another_order_are_matched_by_data_flow():
    reference = branches(0, 1, (0, 1), names=("_1", "_2"))
    port = branches(1, 0, (0, 1), torch=True, names=("p", "q"))
    assert pairs(reference, port) == {"_1": "p", "_2": "q", "_1_relu": "p_relu", "_2_relu": "q_relu", "cat": "cat"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_names_decide_between_equal_branches(order):
    reference = branches(0, 1, (0, 1), names=("left", "right"))
    port = branches(*order, (1, 0), torch=True, names=("conv_left", "conv_right"))
    assert pairs(reference, port)["left"] == "conv_left"
    assert pairs(reference, port)["left_relu"] == "conv_left_relu"


def test_names_generated_by_keras_are_ignored():
    reference = branches(0, 1, (0, 1), names=("_1", "_2"))
    assert pairs(reference, branches(0, 1, (1, 0), torch=True, names=("x_1", "x_2")))["_1"] == "x_2"


def test_a_mapping_overrides_and_later_layers_follow_it():
    reference = branches(0, 1, (0, 1), names=("left", "right"))
    port = branches(0, 1, (0, 1), torch=True, names=("p", "q"))
    found = pairs(reference, port, {"left": "q"})
    assert (found["left"], found["right"], found["left_relu"], found["right_relu"]) == ("q", "p", "q_relu", "p_relu")


def test_a_sum_of_three_matches_two_sums_of_two():
    parts = [conv(name) for name in "abc"]
    reference = trace(*parts, merge("sum", "add", "a", "b", "c"), conv("out", "sum", wide=5))
    port = trace(
        *(conv(name, torch=True) for name in "xyz"),
        *(merge("add", "add", "x", "y"), merge("add#2", "add", "add", "z"), conv("o", "add#2", wide=5, torch=True)),
    )
    assert pairs(reference, port)["sum"] == "add#2"
    assert pairs(port, reference)["add#2"] == "sum"
    assert "add" not in pairs(port, reference)


def test_a_mapping_of_layers_that_did_not_run_is_rejected():
    reference, port = trace(conv("a")), trace(conv("x", torch=True), relu("f", "x"))
    with pytest.raises(
        UnusableInput, match="reference layer 'b', port layer 'y'; reference layers: a; port layers: x, f"
    ):
        match_steps(reference, port, {"b": "x", "a": "y"})
    with pytest.raises(UnusableInput, match=r"pairs a .conv. with f .activation."):
        match_steps(reference, port, {"a": "f"})


def test_kinds_and_shapes_weigh_more_than_names():
    one = conv("a")
    assert similarity(one, relu("a", INPUT)) == 0
    assert similarity(one, conv("a", wide=5, torch=True)) < similarity(one, conv("z", torch=True))
    assert similarity(one, conv("z", torch=True)) < similarity(one, conv("a", torch=True))
    encoder = conv("enc/conv_2")
    assert name_similarity(encoder, conv("encoder.conv2")) > name_similarity(encoder, conv("conv1")) > 0
    assert name_similarity(conv("conv2d_1", named=False), conv("conv2d_1")) == 0


def test_blocks_with_own_weights_are_matched_only_if_unambiguous():
    own = lambda **shapes: Step("block", "own", {}, shapes, sources=((INPUT,),))  # noqa: E731
    assert similarity(own(gamma=()), own(gamma=())) > 0
    assert similarity(own(gamma=()), own(alpha=(1,))) > 0
    assert similarity(own(gamma=(), beta=()), own(beta=(), gamma=())) > 0
    assert similarity(own(gamma=(), beta=()), own(alpha=(), beta=())) == 0
    assert similarity(own(place=(6, 5, 4)), own(place=(4, 6, 5))) > 0
    assert similarity(own(w=(4, 4)), own(w=(4, 4))) == 0
    strange = Step("lstm", "opaque:LSTM", {}, {"kernel": (4, 4)})
    assert strange.untransferable and similarity(strange, strange) == 0


def test_torch_shapes_are_computed_without_large_arrays():
    assert torch_shape("conv", "kernel", (3, 5, 7, 9)) == (9, 7, 3, 5)
    assert torch_shape("depthwise", "kernel", (3, 3, 5, 2)) == (10, 1, 3, 3)
    assert torch_shape("prelu", "alpha", (1, 1, 6)) == (6,)
    assert torch_shape("dense", "kernel", (10**6, 10**6)) == (10**6, 10**6)
    assert torch_shape("conv", "kernel", (3,)) is None


def test_sources_skip_steps_without_a_counterpart():
    run = trace(conv("a"), reshape("v", "a"), conv("b"), merge("m", "add", "v", "b"), relu("r", "m"))
    assert step_sources(run.steps, {"a", "b", "r"})["r"] == (("a", "b"),)
    assert step_sources(run.steps, {"a", "m", "r"})["m"] == (("a",), (INPUT,))
    assert all_names((("a", "b"), ("a",))) == {"a", "b"}


def test_order_of_need_is_independent_of_execution_order():
    one = branches(0, 1, (0, 1))
    other = branches(1, 0, (0, 1))
    names = ["a", "a_relu", "b", "b_relu", "cat"]
    assert [step.name for step in order_of_need(one)] == [step.name for step in order_of_need(other)] == names
    heavy_first = trace(conv("light"), conv("heavy", wide=9), merge("add", "add", "light", "heavy"))
    assert [step.name for step in order_of_need(heavy_first)] == ["heavy", "light", "add"]


def test_values_computed_from_an_unmatched_layer_are_unknown():
    run = trace(conv("a"), Step("lstm", "opaque:LSTM", {}, {"w": (1,)}, sources=(("a",),)), reshape("v", "lstm"),
                conv("b", "v"), conv("c", "b"), conv("d"))  # fmt: skip
    unknown = unknown_values(run, {"a", "b", "c", "d"}, {"lstm"})
    assert (unknown.direct["b"], unknown.direct["c"], unknown.direct["d"]) == ("lstm", "", "")
    assert (unknown.upstream["b"], unknown.upstream["c"], unknown.upstream["d"]) == ("lstm", "lstm", "")
    assert unknown.direct[""] == "" and unknown.upstream[""] == ""
