"""The pytest plugin: ``parity_check`` for any repository's own pairs, and ``--parity-report DIR``.

::

    def test_port(parity_check):
        parity_check(keras_model, torch_model)

Loading this plugin imports no framework.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from parity.verdict import Verdict


class ReportHooks:
    """What a ``conftest.py`` may define for ``--parity-report``."""

    @pytest.hookspec
    def pytest_parity_exhibits(self, verdicts: list[Verdict]) -> dict[str, Any]:  # type: ignore[empty-body]
        """Further keys of :func:`parity.report.write`, for a report on these verdicts."""


VERDICTS = pytest.StashKey[list["Verdict"]]()
WRITTEN = pytest.StashKey[str]()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Offer the hooks of this plugin."""
    pluginmanager.add_hookspecs(ReportHooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--parity-report``."""
    group = parser.getgroup("parity", "parity of Keras and torch models")
    group.addoption("--parity-report", metavar="DIR", help="write the verification report of this run's verdicts here")


def pytest_configure(config: pytest.Config) -> None:
    """Reject an unusable report folder before the first test rather than after the last."""
    config.stash[VERDICTS] = []
    folder = config.getoption("--parity-report")
    if folder:
        from parity.report import validate_folder
        from parity.verdict import UnusableInput

        try:
            validate_folder(Path(folder))
        except UnusableInput as error:
            raise pytest.UsageError(f"--parity-report: {error}") from error


@pytest.fixture(scope="session")
def parity_record(pytestconfig: pytest.Config) -> Callable[[Verdict], Verdict]:
    """Adds a verdict to what ``--parity-report`` writes; returns it."""

    def record(verdict: Verdict) -> Verdict:
        pytestconfig.stash[VERDICTS].append(verdict)
        return verdict

    return record


@pytest.fixture
def parity_check(
    request: pytest.FixtureRequest, parity_record: Callable[[Verdict], Verdict]
) -> Iterator[Callable[..., Verdict]]:
    """``parity_check(keras_model, torch_model, inputs=None, **options)``, options as for ``parity.verify``.

    ``copy_weights=False`` judges the weights that the port holds, ``scope="inference"`` leaves out what only training
    sees. Fails the test with the whole explanation unless the port is faithful; returns the verdict.
    """

    def check(keras_model: Any, torch_model: Any, inputs: Any = None, **options: Any) -> Verdict:
        from parity.systems import frameworks

        frameworks.load()
        from parity.verification import verify

        options.setdefault("name", request.node.name)
        verdict = parity_record(verify(keras_model, torch_model, inputs, **options))
        verdict.raise_if_failed()
        return verdict

    yield check


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report of what was verified."""
    folder, verdicts = session.config.getoption("--parity-report"), session.config.stash[VERDICTS]
    if not folder or not verdicts or hasattr(session.config, "workerinput"):
        return
    from parity.report import write
    from parity.report.collect import collect

    body = collect(verdicts, shlex.join(["pytest", *sys.argv[1:]]))
    for exhibits in session.config.hook.pytest_parity_exhibits(verdicts=verdicts):
        body |= exhibits
    paths = write(body, folder)
    session.config.stash[WRITTEN] = str(paths[0])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say where the report is."""
    if WRITTEN in config.stash:
        terminalreporter.write_line(f"parity report: {config.stash[WRITTEN]}")
    elif config.getoption("--parity-report"):
        terminalreporter.write_line("parity report: not written, this run verified nothing")
