"""Both frameworks and all that measures with them, imported and not begun: what :mod:`parity.systems.worker_processes` forks."""

from parity.cli import frameworks

frameworks.import_both()

import torch._dynamo  # noqa: E402, F401  (torch's optimisers import it as they are made, DistributedDataParallel too)

import parity.systems.training.verification  # noqa: E402, F401
import parity.verification  # noqa: E402, F401
import tf_impl.distribution  # noqa: E402, F401
import torch_impl.distribution  # noqa: E402, F401
