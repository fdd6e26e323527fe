"""``python -m tf_impl|torch_impl train|generate|evaluate|moments|config``: all commands and their exit statuses.

0 done, 1 training diverged or lost a worker, 2 unusable input (one line on stderr), 70 an internal error (one line that
says where its details are), 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer

from shared_impl.cli.config import add_config
from shared_impl.cli.evaluate import add_evaluate
from shared_impl.cli.framework import LoadFramework
from shared_impl.cli.generate import add_generate
from shared_impl.cli.moments import add_moments
from shared_impl.cli.outcome import DONE, FAILED, INTERRUPTED, UNUSABLE, complain
from shared_impl.cli.train import add_train
from shared_impl.cli.versions import add_version
from shared_impl.config.presets import ConfigError
from shared_impl.data.errors import DataError
from shared_impl.storage.checkpoints import CheckpointError
from shared_impl.storage.next_commands import FRAMEWORKS
from shared_impl.storage.run_folder import RunError
from shared_impl.training.interrupts import Interrupted
from shared_impl.training.replicas import WorkerLost, is_first_on_machine, worker_prefix
from shared_impl.training.session import NothingToDo
from shared_impl.training.training_monitor import Diverged


def application(name: str, load_framework: LoadFramework) -> typer.Typer:
    """The typer application of the implementation ``name``."""
    app = typer.Typer(
        help=f"Train a network and generate from it, for example: python -m {name} train dcgan_digits",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for add_command in (add_train, add_generate, add_evaluate):
        add_command(app, load_framework, FRAMEWORKS[name])
    add_moments(app, load_framework)
    add_config(app)
    add_version(app)
    return app


def run(name: str, load_framework: LoadFramework, arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; anything unusable becomes one line on stderr."""
    try:
        words = list(arguments) or ["--help"]
        status = application(name, load_framework)(words, prog_name=f"python -m {name}", standalone_mode=False)
        return status or 0  # 130, typer's own, if Ctrl-C came before there was anything to save
    except (KeyboardInterrupt, typer.Abort):
        return _fail(name, "interrupted", INTERRUPTED)
    except Interrupted as error:
        return _fail(name, f"interrupted: {error}", INTERRUPTED, common=True)
    except NothingToDo as error:
        return _fail(name, str(error), DONE, common=True)
    except (Diverged, WorkerLost) as error:
        return _fail(name, str(error), FAILED)
    except (ConfigError, DataError, CheckpointError, RunError) as error:
        return _fail(name, str(error), UNUSABLE, common=getattr(error, "common", False))
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer's own usage errors have in common
            raise
        return _fail(name, error.format_message(), UNUSABLE)


def _fail(name: str, problem: str, status: int, common: bool = False) -> int:
    """Report a problem in one line and return ``status``.

    Of a problem that is ``common`` to all processes, one process of each machine reports it.
    """
    if not common:
        complain(name, problem, worker_prefix())
    elif is_first_on_machine():
        complain(name, problem)
    return status
