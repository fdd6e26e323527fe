"""Both frameworks and all that measures with them, imported but not started: :mod:`parity.systems.worker_processes`
forks processes from it.
"""

import gc
import os

from parity.systems.worker_processes import blas_threads

# OpenBLAS reads it as NumPy is imported. Its threads wait in loops: two processes with two threads each on two cores
# were measured to take a third more processor time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(blas_threads()))

from parity.systems import frameworks  # noqa: E402

frameworks.import_both()

import torch._dynamo  # noqa: E402, F401  (torch's optimisers import it as they are made, DistributedDataParallel too)

import parity.systems.distribution.rung  # noqa: E402, F401
import parity.systems.training.bfloat16  # noqa: E402, F401
import parity.systems.training.checkpointing  # noqa: E402, F401
import parity.systems.training.data  # noqa: E402, F401
import parity.systems.training.rungs  # noqa: E402, F401
import parity.systems.training.verification  # noqa: E402, F401
import parity.verification  # noqa: E402, F401
import tf_impl.distribution  # noqa: E402, F401
import torch_impl.distribution  # noqa: E402, F401

gc.freeze()  # a collection would visit, and so copy, every page of what was imported, in each fork
