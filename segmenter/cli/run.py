"""``segmenter run``: worker processes, from one in this process to many under a supervisor."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import signal
import sys
import threading
import traceback
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console

from segmenter import sync
from segmenter.cli.codes import Exit, code_of
from segmenter.cli.printing import visible
from segmenter.cli.probe import probed
from segmenter.cli.supervisor import Supervisor
from segmenter.errors import InvalidArgument, SeatTaken
from segmenter.handlers import Handlers
from segmenter.serving import serve
from segmenter.worker import Worker

__all__ = ["load", "run_workers"]

LIMIT_WORKERS = 256
HIGHEST_PORT = 65_535
LOOPBACK = "127.0.0.1"


def run_workers(
    app: str,
    /,
    *,
    workers: Annotated[int, Parameter(validator=Number(gte=1, lte=LIMIT_WORKERS))] = 1,
    reload: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    health_port: Annotated[int | None, Parameter(validator=Number(gte=1, lte=HIGHEST_PORT))] = None,
    health_host: str = LOOPBACK,
) -> int:
    """Run the handlers of a worker until SIGTERM, SIGINT or SIGHUP.

    The first signal lets handlers that are at work end, for as long as their drain_timeout; a second one ends at once,
    with exit code 130. One worker runs in this process; several run in processes of their own, and one that crashes
    is started again, after a while that grows. One that another process has displaced from its instance_id is not.

    Parameters
    ----------
    app
        Where the worker is: module:name, such as shop.billing:worker, importable from the current directory.
    workers
        How many processes.
    reload
        Start them anew whenever a Python file below the current directory changes.
    health_port
        Answer /healthz and /readyz on this port; the further workers answer on the ports that follow it.
    health_host
        The address to answer on: 0.0.0.0, or :: for IPv6, lets other machines ask, such as the kubelet.
    """
    if health_port is not None and health_port + workers - 1 > HIGHEST_PORT:
        raise InvalidArgument(
            f"--health-port {health_port} with {workers} workers needs ports up to {health_port + workers - 1}, and "
            f"{HIGHEST_PORT} is the last one: choose a lower port"
        )
    if workers == 1 and not reload:
        return _serve(load(app), health_port, health_host)
    commands = [_command(app, number, health_port, health_host) for number in range(workers)]
    talk = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

    async def supervise() -> int:
        return await Supervisor(commands, lambda words: talk.print(f"segmenter: {words}"), reload=reload).run()

    return asyncio.run(supervise())


def load(target: str) -> Worker:
    """Return the worker that stands at ``module:name``, or the one that a function there returns.

    Raises:
        InvalidArgument: there is none.
    """
    module, _, name = target.partition(":")
    if not module or not name:
        raise InvalidArgument(f"{target!r} names no worker: use module:name, such as shop.billing:worker")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - a string is what is needed
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{module}.".startswith(f"{missing.name}."):
            raise
        raise InvalidArgument(f"there is no module {module!r} in {os.getcwd()}") from missing  # noqa: PTH109
    for part in name.split("."):
        found = getattr(found, part, None)
    worker = found if isinstance(found, Handlers) or not callable(found) else found()
    if isinstance(worker, sync.Worker):
        return worker.in_loop()
    if not isinstance(worker, Worker):
        raise InvalidArgument(f"{target!r} is no Worker: {found!r}")
    return worker


def _serve(worker: Worker, health_port: int | None, health_host: str) -> int:
    """Run a worker in this process.

    What the application has made by now lives on. A collection that looked at it again and again, while messages come
    and go, would take a third of the time of a small one.
    """
    _speak()
    gc.collect()
    gc.freeze()

    async def run() -> None:
        if health_port is None:
            await worker.run_as_process()
            return
        checks = {"/healthz": lambda: worker.healthy, "/readyz": lambda: worker.ready}
        async with probed(health_host, health_port, checks):
            await worker.run_as_process()

    serve(run, worker.request_stop)
    return Exit.OK


def _speak() -> None:
    """Without logging of the application's own, say what is worth a word; the root logger is left alone."""
    logger = logging.getLogger("segmenter")
    if not logging.root.handlers and all(isinstance(each, logging.NullHandler) for each in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


# --- one of several -------------------------------------------------------------------------------------------------


def _command(target: str, number: int, health_port: int | None, health_host: str) -> list[str]:
    port = "" if health_port is None else str(health_port + number)
    return [sys.executable, "-m", "segmenter.cli.run", target, port, health_host]


def _serve_as_child(target: str, port: str, host: str) -> int:
    """Run a worker for a supervisor; whatever keeps it from being loaded will not be better the next time."""
    threading.Thread(target=_end_with_the_supervisor, daemon=True).start()
    try:
        worker = load(target)
    except Exception:
        traceback.print_exc()
        return Exit.USAGE
    try:
        return _serve(worker, int(port) if port else None, host)
    except (InvalidArgument, SeatTaken) as error:  # that a restart would not mend
        sys.stderr.write(f"segmenter: {visible(str(error))}\n")
        return code_of(error)


def _end_with_the_supervisor() -> None:
    """Wait for the end of the pipe, which comes with the end of whoever holds the other end."""
    while os.read(sys.__stdin__.fileno(), 1):  # type: ignore[union-attr]
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(_serve_as_child(*sys.argv[1:4]))
