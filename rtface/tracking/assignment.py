"""Who belongs to whom: the cheapest one-to-one assignment."""

from __future__ import annotations

import math
from collections.abc import Sequence

FREE = -1


def assign(costs: Sequence[Sequence[float]], limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column), each row and column at most once, of the smallest total cost, by row.

    A pair at or over ``limit`` is not made and counts as ``limit``: a good pair is given up only where others gain more
    than it. Taking the cheapest pair first would be simpler, and is wrong when everything has moved by more than half
    the distance between neighbours, as it has under a panning camera.

    Args:
        costs: rows of equal length, finite or infinite, never negative.
        limit: finite, positive.
    """
    rows, columns = len(costs), len(costs[0]) if costs else 0
    if rows == 0 or columns == 0:
        return []
    capped = [[min(cost, limit) for cost in line] for line in costs]
    if rows > columns:
        turned = [list(column) for column in zip(*capped, strict=True)]
        pairs = sorted((row, column) for column, row in enumerate(_cheapest(turned)))
    else:
        pairs = list(enumerate(_cheapest(capped)))
    return [(row, column) for row, column in pairs if costs[row][column] < limit]


def _cheapest(costs: list[list[float]]) -> list[int]:
    """The column of each row, for rows <= columns.

    Source: the Hungarian method as shortest augmenting paths with potentials (Jonker and Volgenant 1987), O(rows^2
    columns); in plain lists, which for a handful of faces is faster than arrays.
    """
    columns = len(costs[0])
    owner = [FREE] * columns
    row_prices, column_prices = [0.0] * len(costs), [0.0] * columns
    for row in range(len(costs)):
        reached, parents = _free_column(row, costs, owner, row_prices, column_prices)
        while parents[reached] != FREE:
            owner[reached] = owner[parents[reached]]
            reached = parents[reached]
        owner[reached] = row
    return [owner.index(row) for row in range(len(costs))]


def _free_column(
    row: int, costs: list[list[float]], owner: list[int], row_prices: list[float], column_prices: list[float]
) -> tuple[int, list[int]]:
    """The column without an owner that ``row`` reaches most cheaply, and the column each column was reached from.

    Raises the prices along the way so that no pair costs less than its two prices and each made pair costs just them.
    """
    columns = range(len(owner))
    parents, shortest = [FREE] * len(owner), [math.inf] * len(owner)
    settled: list[int] = []
    waiting = list(columns)
    here, came_from = row, FREE
    while True:
        line, price = costs[here], row_prices[here]
        for column in waiting:
            slack = line[column] - price - column_prices[column]
            if slack < shortest[column]:
                shortest[column], parents[column] = slack, came_from
        nearest = min(waiting, key=shortest.__getitem__)
        step = shortest[nearest]
        row_prices[row] += step
        for column in settled:
            row_prices[owner[column]] += step
            column_prices[column] -= step
        for column in waiting:
            shortest[column] -= step
        if owner[nearest] == FREE:
            return nearest, parents
        settled.append(nearest)
        waiting.remove(nearest)
        here, came_from = owner[nearest], nearest
