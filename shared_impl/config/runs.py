"""The section ``runs``: where runs are kept, and how often a run logs, samples and saves."""

from __future__ import annotations

from shared_impl.config.section import Count, Section

SAMPLE_DISTANCE = "sample_distance"  # see shared_impl/sampling/sample_distance.py


class RunsConfig(Section):
    """Where runs are kept and how often something is written; all intervals in steps."""

    folder: str = "runs"
    log_every: Count = 10
    sample_every: Count = 200
    checkpoint_every: Count = 500
    keep: Count = 3  # latest checkpoints kept, beside the best
    monitor: str = SAMPLE_DISTANCE  # what the best checkpoint has least of: this, or a metric such as g_loss
    patience: Count | None = None  # steps without a better checkpoint after which the run ends early
    samples: Count = 64  # images of a sample grid
    previews: Count = 32  # clips of an audio preview
    tensorboard: bool = True
