"""The section ``loss``: the adversarial loss and the terms that are added to it."""

from __future__ import annotations

from typing import Literal

from shared_impl.config.section import NotNegative, Positive, Section, Share

Loss = Literal["wgan-gp", "wgan", "lsgan", "dcgan", "bce", "hinge"]


class LossConfig(Section):
    """The loss of both networks, and its weights."""

    kind: Loss
    penalty_weight: Positive = 10.0  # wgan-gp
    clip: Positive = 0.01  # wgan: every weight of D is kept within +-clip
    label_smoothing: Share = 0.0  # lsgan, dcgan, bce: D's target for real is 1 - this
    smooth_fakes: bool = False  # and for fakes is this
    d_scale: Positive = 0.5  # lsgan, dcgan, bce: weight of each half of D's loss
    auxiliary_weight: Positive = 1.0  # model.label=auxiliary: of predicting the class, D's on real and fake, and G's
    perceptual_weight: NotNegative = 0.0  # G's, of the mean distance of VGG19's features between fakes and real images
    texture_weight: NotNegative = 0.0  # G's, of the mean distance of the features' Gram matrices
    features: str | None = None  # file of VGG19's weights for these two, Keras's or torch's

    @property
    def imitates(self) -> bool:
        """Whether G is to give its fakes the features of real images."""
        return bool(self.perceptual_weight or self.texture_weight)
