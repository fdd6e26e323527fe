"""Defaults that depend on the system (RECIPES) or on the loss (RECOMMENDED, OPTIMIZERS)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# One update of D, then one of G on the same fakes, as torch's examples do.
_IN_PAIRS = {"d_updates": 1, "reuse_fakes": True, "latents": "normal"}
# What each system's original was trained with (SpecGAN: train_specgan.py; DCGAN: Radford et al. 2015, section 4; the
# others: the documents that describe them).
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "specgan": {
        "data": {"source": "drums"},
        "loss": {"kind": "wgan-gp"},
        "training": {"batch_size": 64, "d_updates": 5, "latents": "uniform"},
    },
    "dcgan": {
        "data": {"source": "digits"},
        "loss": {"kind": "dcgan", "d_scale": 1.0},
        "optimizer": {"epsilon_place": "torch"},
        "training": {"batch_size": 128, **_IN_PAIRS},
    },
    "upsample_dcgan": {
        "data": {"source": "digits"},
        "loss": {"kind": "bce", "label_smoothing": 0.1, "smooth_fakes": True},
        "optimizer": {"epsilon_place": "torch"},
        "training": {"batch_size": 128, **_IN_PAIRS},
    },
    "soundgan": {
        "data": {"source": "drums"},
        "loss": {"kind": "dcgan"},
        "optimizer": {"epsilon_place": "torch"},
        "training": {"batch_size": 64, **_IN_PAIRS},
    },
    "conditional_dcgan": {
        "data": {"source": "digits", "balance": True},
        "loss": {"kind": "dcgan", "label_smoothing": 0.1},
        "optimizer": {"epsilon_place": "torch"},
        "training": {"batch_size": 32, **_IN_PAIRS},
    },
}
FILLED = ("data", "loss", "optimizer", "training")  # the sections that a system or a loss has defaults for

# train_specgan.py's optimiser for each of its losses, and the usual one for the others.
RECOMMENDED: dict[str, dict[str, Any]] = {
    "wgan-gp": {"kind": "adam", "lr": 1e-4, "beta1": 0.5, "beta2": 0.9},
    "wgan": {"kind": "rmsprop", "lr": 5e-5},
    "lsgan": {"kind": "rmsprop", "lr": 1e-4},
    "dcgan": {"kind": "adam", "lr": 2e-4, "beta1": 0.5, "beta2": 0.999},
    "bce": {"kind": "adam", "lr": 2e-4, "beta1": 0.5, "beta2": 0.999},
    # Two rates, without momentum (Heusel et al. 2017, arXiv:1706.08500; Zhang et al. 2019, arXiv:1805.08318)
    "hinge": {"kind": "adam", "lr": 1e-4, "lr_d": 4e-4, "beta1": 0.0, "beta2": 0.9},
}
# Where the loss recommends another kind. The epsilons are TF 1's.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"lr": 1e-4, "epsilon": 1e-8},
    "rmsprop": {"lr": 5e-5, "epsilon": 1e-10},
}


def with_defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it was written, with what its system and its loss recommend filled in.

    Values of the wrong kind are left as they are, for the schema to reject.
    """
    model = content.get("model")
    recipe = RECIPES.get(str(model.get("system")), {}) if isinstance(model, Mapping) else {}
    filled = {**content, **{name: _under(content.get(name), recipe.get(name, {})) for name in FILLED}}
    if all(isinstance(filled[name], Mapping) for name in ("loss", "optimizer", "training")):
        recommended = RECOMMENDED.get(str(filled["loss"].get("kind")), {"kind": "adam"})
        kind = filled["optimizer"].get("kind", recommended["kind"])
        recommended = recommended if kind == recommended["kind"] else {"kind": kind}
        filled["optimizer"] = {**OPTIMIZERS.get(str(kind), {}), **recommended, **filled["optimizer"]}
        if not {"steps", "epochs"} & filled["training"].keys():
            filled["training"] = {"epochs": 100, **filled["training"]}
    return filled


def _under(written: Any, defaults: Mapping[str, Any]) -> Any:
    return {**defaults, **(written or {})} if written is None or isinstance(written, Mapping) else written
