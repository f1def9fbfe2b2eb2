"""``rtface gallery calibrate``: the distance at which rows vote, from how alike people are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtface.cli._shared import open_system, print_json, say, settings_options

if TYPE_CHECKING:
    from rtface.config import Config
    from rtface.gallery.calibration import Report


@click.command("calibrate")
@click.option(
    "--false-identification-rate",
    "rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.001,
    show_default=True,
    help="How often one look at a stranger may give a name.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 4),
    default=0.0,
    show_default=True,
    help="By how much the next person has to be farther than the one named, squared L2.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would come out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line with all figures.")
@settings_options
def calibrate(
    rate: float, margin: float, dry_run: bool, as_json: bool, config: Path | None, settings: tuple[str, ...]
) -> None:
    """Fit the distance at which rows vote to this gallery and to the rate at which strangers may get a name.

    How near strangers come is known from the people the model was measured on, and from the people enrolled, who are
    strangers to each other: where they are more alike, as relatives are or pictures of one camera, the distance becomes
    smaller. What was found is kept with the gallery, and the distance follows when people are enrolled or removed;
    measure again when there are twice as many.

    A rate that the people known are too few to show is refused. The settings false_identification_rate, min_margin and
    max_distance are stronger than what is kept, where they are set.
    """
    from rtface.gallery import calibration
    from rtface.gallery.evidence import refuse_unreachable
    from rtface.gallery.impostors import shipped_tail
    from rtface.pipeline.judge import VoteRules, rules_for

    with open_system(config, settings) as system, system.open_gallery() as gallery:
        spec, chosen = system.embedder_spec, system.config
        report = calibration.calibrate(
            gallery,
            shipped_tail(spec.name, spec.fingerprint),
            rate=rate,
            margin=margin,
            k=chosen.k,
            min_share=chosen.min_share,
            at=time.time(),
        )
        refuse_unreachable(rules_for(VoteRules.of(chosen), report.calibration))
        if not dry_run:
            calibration.keep(gallery, report.calibration)
    if as_json:
        print_json(_record(report, kept=not dry_run))
    else:
        _tell(report, spec.name, kept=not dry_run)
    _tell_stronger(chosen)


def _record(report: Report, *, kept: bool) -> dict[str, object]:
    made, likeness = report.calibration, report.likeness
    return {
        "kept": kept,
        "false_identification_rate": made.rate,
        "margin": made.margin,
        "distance": report.limit,
        "expected_rate": report.expected,
        "expected_rate_interval": [report.low, report.high],
        "people": made.people,
        "chances": report.chances,
        "measured_people": made.tail.people,
        "smallest_rate": made.tail.smallest_rate * made.ratio * report.chances,
        "own_statistics": not report.shipped,
        "likeness": likeness.ratio,
        "likeness_interval": [likeness.low, likeness.high],
        "near_pairs": {"distance": likeness.distance, "found": likeness.near, "expected": likeness.expected},
    }


def _tell(report: Report, model: str, *, kept: bool) -> None:
    made, likeness = report.calibration, report.likeness
    click.echo(f"{made.people:,} people are enrolled: {report.chances:,.0f} chances for a stranger.")
    if report.shipped:
        click.echo(
            f"Within {likeness.distance:.2f}: {likeness.near:.1f} pairs of them, {likeness.expected:.1f} of as many of "
            f"the {made.tail.people:,} people {model} was measured on; {likeness.ratio:.2f} times as alike (95 %: "
            f"{likeness.low:.2f} to {likeness.high:.2f}; counted as 1 where it is less)."
        )
    else:
        click.echo(f"Nothing was measured for these embeddings of {model}; the people enrolled stand for strangers.")
    click.echo(
        f"Distance {report.limit:.3f}, margin {made.margin:g}: one look at a stranger gives a name at a rate of "
        f"{report.expected:.2g} (95 %: {report.low:.2g} to {report.high:.2g}); {made.rate:g} was asked for."
    )
    say("Kept with the gallery." if kept else "Nothing was changed.")


def _tell_stronger(chosen: Config) -> None:
    set_by_hand = [
        name for name in ("false_identification_rate", "min_margin", "max_distance") if getattr(chosen, name) != "auto"
    ]
    if set_by_hand:
        say(f"The settings have their own {' and '.join(set_by_hand)}, which will be used instead.")
