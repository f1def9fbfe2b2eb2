"""What ``rtface train harmonic`` and ``rtface gallery migrate`` say of a map: what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rtface.models.harmonic import Harmonic


def tell_costs(harmonic: Harmonic) -> None:
    """VAL of every way to compare, a line each, on stdout."""
    costs, old, new, name = harmonic.costs, harmonic.old.name, harmonic.new.name, harmonic.name
    rates = list(costs.old)
    rows = [
        (f"{old} alone, as it is now", costs.old),
        (f"{old} mapped, against itself", costs.mapped),
        (f"{old} mapped, against {name}", costs.crossed),
        (f"{name} alone, enrolled later", costs.harmonic),
        (f"{new} alone, everybody enrolled again", costs.new),
    ]
    width = max(len(label) for label, _ in rows)
    heads = "  ".join(f"{'FAR ' + rate:>8}" for rate in rates)
    click.echo(f"{f'VAL, {costs.people} people, {costs.pictures} pictures':<{width}}  {heads}")
    for label, vals in rows:
        click.echo(f"{label:<{width}}  " + "  ".join(f"{vals[rate]:>8.1%}" for rate in rates))
