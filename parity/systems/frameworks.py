"""Importing the frameworks without their greetings on stderr."""

from __future__ import annotations

import os
import warnings

from shared_impl.held_stderr import stderr_held_back
from shared_impl.memory_allocation import keep_freed_memory


def load(threads: int = 0) -> None:
    """Import Keras on TensorFlow, and torch, quietly, and begin with them; whatever they say is shown if that fails.

    Each computes in so many ``threads``; 0: in as many as it chooses. Freed memory is kept for the next tensor: a fifth
    of the time of a wide pair.

    Raises:
        ImportError: a framework is not installed.
    """
    keep_freed_memory()
    import_both()
    if threads:
        compute_in(threads)
    with stderr_held_back():
        import tensorflow as tf

        tf.zeros(1)  # the first operation starts the runtime, which greets too


def import_both() -> None:
    """Import the frameworks quietly, and no more: of a process that has done so others can be forked."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with stderr_held_back():
        import keras  # noqa: F401
        import tensorflow as tf
        import torch  # noqa: F401
    tf.get_logger().setLevel("ERROR")  # it advises against building one trainer after another
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="keras|tensorflow")


def compute_in(threads: int) -> None:
    """Both frameworks compute in so many threads; before their first operation."""
    import tensorflow as tf
    import torch

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    torch.set_num_threads(threads)


def trace(wanted: bool) -> None:
    """TensorFlow traces functions and runs the graph, as it does by itself, or else runs operation by operation."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(not wanted)
