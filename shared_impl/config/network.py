"""What every system's section has in common: the properties of its networks that training and data depend on."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from shared_impl.config.section import Section

Medium = Literal["audio", "image"]


class Framing(NamedTuple):
    """The short-time Fourier transform behind a system's spectrograms, in samples; an example has ``samples``."""

    frame: int
    hop: int
    samples: int


class Network(Section):
    """Base of the systems' sections. ``medium`` is what a system learns from."""

    medium: ClassVar[Medium] = "image"

    @property
    def side(self) -> int:
        """Side of the square output in pixels; of a spectrogram, its frames and bins."""
        return 64

    @property
    def framing(self) -> Framing:
        """The STFT of an audio system: half a frame's bins, and as many frames, fill the square."""
        return Framing(2 * self.side, self.side // 2, self.side * self.side // 2)

    @property
    def labels(self) -> int:
        """The number of classes that the networks are conditioned on; 0 if they are not."""
        return 0

    @property
    def probabilities(self) -> bool:
        """Whether the discriminator gives probabilities instead of logits."""
        return False

    @property
    def auxiliary(self) -> bool:
        """Whether the discriminator also predicts the class."""
        return False

    @property
    def dropped(self) -> tuple[int, ...]:
        """Channels of each of the discriminator's dropout layers, in order."""
        return ()

    @property
    def stages(self) -> tuple[int, ...]:
        """The sides of the images of each stage of growing, the full one last; () if the networks do not grow."""
        sizes = getattr(self, "growing", ())
        return (*sizes, self.side) if sizes else ()

    @property
    def normalises_batches(self) -> bool:
        """Whether the networks normalise by the statistics of their batch."""
        return True

    @property
    def critic_normalises_batches(self) -> bool:
        """Whether the discriminator normalises by the statistics of its batch."""
        return self.normalises_batches
