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
    """A system's options. ``medium`` is what it learns from, ``side`` that of its square output (of a spectrogram:
    frames and bins).
    """

    medium: ClassVar[Medium] = "image"

    @property
    def side(self) -> int:
        """In pixels."""
        return 64

    @property
    def framing(self) -> Framing:
        """Of an audio system: half a frame's bins and as many frames fill the square."""
        return Framing(2 * self.side, self.side // 2, self.side * self.side // 2)

    @property
    def labels(self) -> int:
        """How many classes the networks are told."""
        return 0

    @property
    def probabilities(self) -> bool:
        """Whether the discriminator gives probabilities instead of logits."""
        return False

    @property
    def auxiliary(self) -> bool:
        """Whether the discriminator names the class too."""
        return False

    @property
    def dropped(self) -> tuple[int, ...]:
        """Channels of each of the discriminator's dropout layers, in order."""
        return ()

    @property
    def stages(self) -> tuple[int, ...]:
        """The sides of the images that it makes as it grows, the full one last; none if it does not grow."""
        sizes = getattr(self, "growing", ())
        return (*sizes, self.side) if sizes else ()

    @property
    def normalises_batches(self) -> bool:
        """Whether the networks normalise by the statistics of their batch."""
        return True

    @property
    def critic_normalises_batches(self) -> bool:
        """Whether the discriminator is one of them."""
        return self.normalises_batches
