"""A run from its start to its end in TensorFlow; twin of torch_impl/train.py."""

from __future__ import annotations

from pathlib import Path

from shared_impl.config.schema import Config
from shared_impl.storage.run_folder import PROFILE
from shared_impl.training.session import Session
from tf_impl.checkpoints import restore, state
from tf_impl.distribution import Replicas
from tf_impl.profiling import Profile
from tf_impl.spectrogram import log_magnitude
from tf_impl.trainer import Trainer


def train(config: Config, preset: str, resume: Path | None = None, profiled: int = 0) -> Path | None:
    """Train to the last step and return the run's folder, if this process is the one that writes it.

    ``resume`` is the folder of a run to go on with; of ``profiled`` steps its folder gets a profile. Raises Interrupted
    after Ctrl-C, having saved; WorkerLost, ConfigError, DataError, CheckpointError, RunError and Diverged.
    """
    with Replicas(config) as replicas, replicas.failures():
        with Session(config, preset, Trainer.framework, replicas, resume) as session:
            moments = session.moments(log_magnitude)
            trainer = Trainer(config, session.steps, moments, replicas)
            if session.state is not None:
                restore(trainer, session.state)
            with Profile(session.path and session.path / PROFILE, profiled) as profile:
                for step in session.remaining():
                    metrics = trainer.step(step, session.batches)
                    session.record(step + 1, metrics, trainer, state)
                    profile.step()
        return session.path
