"""Rows of the board: a scenario keeps its own until it is deleted, and then another one gets it."""

from common.board import Board
from common.checkpoints import Checkpoints
from supervisor.engine.pool import Pool
from supervisor.engine.scenarios import LaunchedScenario
from supervisor.engine.spawn import WorkerProcess


class Rows:
    """The rows of ended workers.

    Args:
        board: what is written there.
        checkpoints: what is kept of it.
        pool: the free ones.
    """

    def __init__(self, board: Board, checkpoints: Checkpoints, pool: Pool[WorkerProcess]) -> None:
        self._board = board
        self._checkpoints = checkpoints
        self._pool = pool
        self._kept: dict[LaunchedScenario, int] = {}

    def keep(self, scenario: LaunchedScenario, row: int) -> None:
        """Leave a row readable whose worker is gone."""
        self._kept[scenario] = row

    def let_go(self, scenario: LaunchedScenario, row: int | None = None) -> None:
        """Free the row of a scenario that is deleted, a kept one unless it is given; it may have none."""
        row = self._kept.pop(scenario, row)
        if row is not None:
            scenario.detach()
            self.free(row)

    def free(self, row: int) -> None:
        """Give a row back that no scenario has."""
        self._board.clear(row)
        self._checkpoints.clear(row)
        self._pool.give_back(row)
