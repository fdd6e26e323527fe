"""Random small configurations: every option that keeps state of its own, on the embedded data."""

from __future__ import annotations

import random

DIGITS = ("dcgan_tiny", "model.ngf=2", "model.ndf=2", "model.nz=8")
# What a run may be, in words of a command line; two processes take those that they can share.
SYSTEMS: tuple[tuple[str, ...], ...] = (
    DIGITS,
    (*DIGITS, "training.ema=0.9", "training.accumulation=2"),
    (*DIGITS, "optimizer.kind=rmsprop", "loss.kind=wgan", "training.reuse_fakes=false", "training.d_updates=2"),
    (*DIGITS, "loss.kind=wgan-gp", "training.reuse_fakes=false", "data.flip=both", "data.rotate=20"),
    (*DIGITS, "training.instance_noise=0.2", "data.prefetch=1", "runs.monitor=g_loss"),
    ("specgan_tiny", "model.dim=1", "model.nz=8", "training.d_updates=1", "data.random_offset=true"),
    ("conditional_dcgan_tiny", "model.ngf=2", "model.ndf=2", "model.nz=8", "model.attention_at=[4]"),
    (
        *("upsample_dcgan_tiny", "model.ngf=2", "model.ndf=2", "model.nz=8", "model.growing=[8,32]"),
        *("training.stage_steps=6", "training.stage_batches=[8,4]", "training.ema=0.9"),
    ),
)
# In two processes. Without synchronised batch norm each has running statistics of its own, averaged whenever a
# checkpoint is written: one more average, because a signal came, rounds them once more.
SYNCHRONISED = "distribution.sync_batchnorm=true"
SHARED = (*((*words, SYNCHRONISED) for words in SYSTEMS[:2]), SYSTEMS[0])
STEPS = (18, 30)
EVERY = (2, 3, 5, 7)  # steps between checkpoints


def draw(chance: random.Random, processes: int) -> list[str]:
    """The words after ``train`` of a random run in so many processes."""
    words = list(chance.choice(SHARED if processes > 1 else SYSTEMS))
    steps = chance.randint(*STEPS)
    return [
        *words,
        f"training.steps={steps}",
        "training.batch_size=4",
        "training.precision=float64",
        f"runs.checkpoint_every={chance.choice(EVERY)}",
        f"runs.sample_every={chance.choice(EVERY)}",
        *(
            "runs.log_every=1",
            "runs.samples=4",
            "runs.previews=2",
            "distribution.devices=cpu",
            "distribution.timeout=120",
        ),
    ]
