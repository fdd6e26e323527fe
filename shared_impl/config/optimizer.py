"""The section ``optimizer``: one algorithm for both networks, their learning rates and the schedule."""

from __future__ import annotations

from typing import Literal

from shared_impl.config.section import NotNegative, Positive, Section, Share


class OptimizerConfig(Section):
    """One optimiser for both networks; ``lr_g`` and ``lr_d`` overrule ``lr``."""

    kind: Literal["adam", "rmsprop"]
    lr: Positive
    lr_g: Positive | None = None
    lr_d: Positive | None = None
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Positive
    # adam: tensorflow adds epsilon to the uncorrected root ("epsilon hat", Kingma and Ba 2015, section 2), torch to the
    # corrected one
    epsilon_place: Literal["tensorflow", "torch"] = "tensorflow"
    decay: Share = 0.9  # rmsprop: of the mean square
    initial_accumulator: NotNegative = 1.0  # rmsprop: TF 1 starts at one
    schedule: Literal["fixed", "cosine", "linear"] = "fixed"
    final_lr: NotNegative = 0.0  # of cosine and linear, reached at the last step
    clip_norm: Positive | None = None  # of each network's whole gradient
