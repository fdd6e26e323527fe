"""What a pair of library models is, with what tells its sides apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from torch import nn

from benchmarks.libraries.repairs import Repair


@dataclass(frozen=True)
class Difference:
    """One way in which the port as its library has it departs from the Keras model.

    ``kinds``: finding kinds by any of which it is rightly named. ``layers``: a pattern that the reference's or the
    port's layer of such a finding must match. ``repair`` takes it away. ``inference``: it shows in evaluation mode too.
    """

    kinds: tuple[str, ...]
    layers: str
    repair: Repair
    inference: bool = True


@dataclass(frozen=True)
class LibraryPair:
    """Two builders of the same network, and what differs between them.

    Weights are copied by order, kind and shape, branches named ``first`` ahead of others, or by ``convert``, which
    copies the torch module's onto the Keras model and returns what it wrote, ``{tensor: variable}``. ``single``: one
    side holds constants in float32. ``largest``: inputs are drawn from its negative (0, where it is 255) to itself.
    """

    name: str
    reference: Callable[[], keras.Model]
    port: Callable[[], nn.Module]
    differences: tuple[Difference, ...] = ()
    first: tuple[str, ...] = ()
    convert: Callable[[keras.Model, nn.Module], dict[str, keras.Variable]] | None = None
    single: bool = False
    largest: float = 1.0


@dataclass(frozen=True)
class Variant:
    """A pair with some of its differences left in: all (as the libraries have it), none, or one."""

    pair: LibraryPair
    left: tuple[Difference, ...]
    name: str

    def port(self) -> nn.Module:
        """The torch module, the other differences repaired."""
        port = self.pair.port()
        for difference in self.pair.differences:
            if difference not in self.left:
                port = difference.repair(port)
        return port

    @property
    def faithful_for(self) -> str:
        """What the pair must be called: ``"training"``, ``"inference"`` or ``""``."""
        if any(difference.inference for difference in self.left):
            return ""
        return "inference" if self.left else "training"


def touched(pair: LibraryPair, difference: Difference) -> set[str]:
    """The port's modules that a repair changes or replaces: where its difference is."""
    before, after = pair.port(), difference.repair(pair.port())
    state = {path: _settings(module) for path, module in before.named_modules()}
    changed = {path: _settings(module) for path, module in after.named_modules()}
    return {path for path, settings in state.items() if path and changed.get(path) != settings}


def _settings(module: nn.Module) -> tuple[object, ...]:
    plain = {k: v for k, v in vars(module).items() if isinstance(v, (int, float, str, tuple)) and not k.startswith("_")}
    parameters = tuple(name for name, one in module._parameters.items() if one is not None)
    return type(module), parameters, tuple(sorted(plain.items(), key=lambda item: item[0]))


def variants(pair: LibraryPair, single: bool = False) -> list[Variant]:
    """As the libraries have it and repaired; with ``single`` each difference by itself, too."""
    found = [Variant(pair, pair.differences, pair.name)]
    if pair.differences:
        found.append(Variant(pair, (), f"{pair.name}, repaired"))
    if single and len(pair.differences) > 1:
        found += [Variant(pair, (one,), f"{pair.name}, only {one.kinds[0]}") for one in pair.differences]
    return found
