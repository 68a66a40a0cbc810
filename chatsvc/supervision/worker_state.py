"""
The states of one worker, and all transitions between them.

::

              start          ready             stop             ended
    idle ------------> starting -----> serving ------> stopping -------> gone
     ^                    |               |
     +--- could_not_start, ended ---------+

``stop`` leads from ``starting`` to ``stopping``, too, and from ``idle`` to ``gone``: there is nothing to wait for.
Whatever stands in no row below is an error of the program: it raises ``automat.NoTransition`` and changes nothing.
"""

from __future__ import annotations

from typing import Protocol

from automat import TypeMachineBuilder


class WorkerState(Protocol):
    """What can happen to a worker, and what can be asked of it at any time."""

    def start(self) -> None:
        """Somebody starts a process for it."""

    def could_not_start(self) -> None:
        """That process could not be had."""

    def ready(self) -> bool:
        """Its process says that it is ready, after its start or a reload; say whether that counts."""

    def ended(self) -> bool:
        """Its process has ended; say whether nobody has asked it to."""

    def stop(self) -> bool:
        """It is to end for good; say whether there is a process to wait for."""

    def runs(self) -> bool:
        """Say whether there is a process."""

    def serves(self) -> bool:
        """Say whether there is a process that has said that it is ready; one that stops still answers its probe."""


class _Nothing:
    """All that is done, `WorkerProcess` does."""


_builder = TypeMachineBuilder(WorkerState, _Nothing)
_idle = _builder.state("idle")
_starting = _builder.state("starting")
_serving = _builder.state("serving")
_stopping = _builder.state("stopping")
_stopping_unready = _builder.state("stopping before it was ready")
_gone = _builder.state("gone")

_idle.upon(WorkerState.start).to(_starting).returns(None)
_idle.upon(WorkerState.stop).to(_gone).returns(False)

_starting.upon(WorkerState.could_not_start).to(_idle).returns(None)
_starting.upon(WorkerState.ready).to(_serving).returns(True)
_starting.upon(WorkerState.ended).to(_idle).returns(True)
_starting.upon(WorkerState.stop).to(_stopping_unready).returns(True)

_serving.upon(WorkerState.ready).loop().returns(True)
_serving.upon(WorkerState.ended).to(_idle).returns(True)
_serving.upon(WorkerState.stop).to(_stopping).returns(True)

for _state in (_stopping, _stopping_unready):
    _state.upon(WorkerState.ended).to(_gone).returns(False)
    _state.upon(WorkerState.stop).loop().returns(True)

_gone.upon(WorkerState.stop).loop().returns(False)

for _state in (_idle, _stopping, _stopping_unready, _gone):
    # A datagram may be read after its sender has ended.
    _state.upon(WorkerState.ready).loop().returns(False)

for _state, _runs, _serves in (
    (_idle, False, False),
    (_starting, True, False),
    (_serving, True, True),
    (_stopping, True, True),
    (_stopping_unready, True, False),
    (_gone, False, False),
):
    _state.upon(WorkerState.runs).loop().returns(_runs)
    _state.upon(WorkerState.serves).loop().returns(_serves)

_machine = _builder.build()


def new_worker_state() -> WorkerState:
    """Make the state of a worker that has no process yet."""
    return _machine(_Nothing())
