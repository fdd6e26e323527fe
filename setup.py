"""Where packages come from; everything else stands in setup.cfg.

Presets are written in ``configs/`` and installed as ``shared_impl/presets``, where no user's package can shadow them.
"""

from setuptools import find_namespace_packages, setup

SHIPPED = ["parity*", "shared_impl*", "tf_impl*", "torch_impl*"]

setup(
    packages=[*find_namespace_packages(include=SHIPPED), "shared_impl.presets"],
    package_dir={"shared_impl.presets": "configs"},
)
