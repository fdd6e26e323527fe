"""Imports the libraries whose models are paired, also where torchvision's compiled operators do not load."""

from __future__ import annotations

import importlib
import logging
import sys
from types import ModuleType

import torch

_NMS = "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_DECLARED: list[torch.library.Library] = []  # an operator lives as long as the object that declared it


def torchvision_models() -> ModuleType:
    """``torchvision.models``, which needs none of torchvision's compiled operators.

    Those are built for one build of torch (CUDA of a certain version, or none); with another build their library does
    not load, and the import fails while it describes operators that do not exist. They are declared and left empty.
    """
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(_NMS)
    _DECLARED.append(library)
    sys.modules["torchvision._meta_registrations"] = ModuleType("torchvision._meta_registrations")
    return importlib.import_module("torchvision.models")


def timm() -> ModuleType:
    """``timm``, without its remarks about optional packages."""
    torchvision_models()
    logging.getLogger("timm").setLevel(logging.ERROR)
    return importlib.import_module("timm")


def transformers() -> ModuleType:
    """``transformers``, quiet."""
    torchvision_models()
    module = importlib.import_module("transformers")
    module.logging.set_verbosity_error()
    return module


def keras_hub() -> ModuleType:
    """``keras_hub``."""
    return importlib.import_module("keras_hub")
