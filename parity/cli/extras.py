"""Which extra of the distribution brings a package that is not installed."""

from __future__ import annotations

# Names under which packages are imported, by the smallest extra that a user of the commands would install for them.
IMPORTED = {
    "verify": {"jinja2", "keras", "markupsafe", "tensorflow", "torch"},
    "training": {
        "PIL",
        "absl",
        "grain",
        "importlib_resources",
        "librosa",
        "matplotlib",
        "psutil",
        "safetensors",
        "sklearn",
        "soundfile",
        "soxr",
        "tensorboard",
        "tensorflow_datasets",
    },
    "export": {"onnx", "onnxruntime", "onnxscript"},
}


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """The extra that brings the missing package; None for one that no extra has, which is a bug."""
    package = (error.name or "").partition(".")[0]
    return next((extra for extra, names in IMPORTED.items() if package in names), None)
