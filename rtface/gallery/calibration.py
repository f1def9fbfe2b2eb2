"""The distance at which a gallery's rows may vote, from how near pictures of different people come to each other.

What is kept is no distance but what distances follow from: the rate asked for, the tail of impostor distances, and how
much more alike this gallery's people are than those the tail was measured on. The judge works the distance out again
whenever the gallery changes (``voting.distance_limit``), so a calibration grows along.

Strangers are not at hand, people who are enrolled stand in for them: each two of them are a stranger and somebody
enrolled. Where they come near each other more often than the tail says, strangers are taken to do so too. The opposite
is not concluded: a few people unlike each other say nothing of who comes to the door.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EvaluationError
from rtface.gallery.database import Database, broken
from rtface.gallery.gallery import PersonGallery
from rtface.gallery.impostor_pairs import NearPairs, near_pairs, tail_from
from rtface.gallery.impostors import ImpostorTail, tail_of
from rtface.gallery.voting import comparisons, distance_limit

SAMPLED = 2000
"""People whose pictures are compared, evenly spread where more are enrolled: two million pairs of people."""
PICTURES = 10
"""Pictures of each of them, the first ones."""
EXPECTED = 10.0
"""Near pairs that the comparison with the tail is made at: fewer would be chance, more are farther from the limit."""
COMMONEST = 0.03
"""... but at no distance at which more than this part of all pairs lie: that would not be the tail any more."""
PRIOR = 3.0
"""Near pairs that the tail itself counts for: a gallery is as alike as the tail's people until it shows otherwise
(mean and variance of a gamma distribution with mean 1). With three, a household's single pair of siblings, expected
0.1 times, makes its people 1.3 times as alike and not ten times."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How often this gallery's people come near each other, in times of the tail's.

    Attributes:
        ratio: the estimate, at least 1.
        low, high: ends of its 95 % interval.
        distance: within which pairs were counted.
        near: pairs of people within it, each counted by the part of its pictures.
        expected: of as many of the tail's people.
    """

    ratio: float
    low: float
    high: float
    distance: float
    near: float
    expected: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is kept in a gallery.

    Attributes:
        rate: how often one look at a stranger may give a name, over 0 and at most 1.
        margin: by how much the next person has to be farther, 0..4.
        ratio: of likeness; every chance a stranger has counts that often.
        people: enrolled at that time.
        at: seconds since 1970.
        tail: of impostor distances.
    """

    rate: float
    margin: float
    ratio: float
    people: int
    at: float
    tail: ImpostorTail

    def limit(self, chances: float, rate: float | None = None) -> float:
        """The largest distance of a vote where a stranger has so many chances; for another rate than its own, too."""
        return distance_limit(self.tail.limits(), self.ratio * max(chances, 1), self.rate if rate is None else rate)

    def holds(self, chances: float, rate: float | None = None) -> bool:
        """Whether the people behind the tail are enough to show the rate, or another, for so many chances."""
        return (self.rate if rate is None else rate) / (self.ratio * max(chances, 1)) >= self.tail.smallest_rate


@dataclass(frozen=True, slots=True)
class Report:
    """A calibration with what it was made from.

    Attributes:
        calibration: to be kept.
        likeness: of the people enrolled.
        shipped: the tail is the model's; otherwise it is this gallery's own.
        chances: that a stranger has in it, see ``voting.comparisons``.
        limit: the distance it comes to now.
        expected, low, high: how often one look at a stranger gives a name then: the estimate, and its 95 % interval.
    """

    calibration: Calibration
    likeness: Likeness
    shipped: bool
    chances: float
    limit: float
    expected: float
    low: float
    high: float


def calibrate(
    gallery: PersonGallery,
    tail: ImpostorTail | None,
    *,
    rate: float,
    margin: float,
    k: int,
    min_share: float,
    at: float,
) -> Report:
    """Measures the people enrolled and works out what keeps to the rate; changes nothing.

    Args:
        gallery: with somebody in it.
        tail: of its model, or None to use the gallery's own people alone.
        rate: how often one look at a stranger may give a name.
        margin: to be kept with it.
        k, min_share: of the vote.
        at: seconds since 1970, now.

    Raises:
        EvaluationError: nobody is enrolled, or the people known are too few to show so small a rate.
    """
    enrolled = gallery.counts()
    if not enrolled:
        raise EvaluationError("Nobody is enrolled, so there is nothing to calibrate: rtface enroll NAME DIR.")
    pairs = _own_pairs(gallery)
    known = tail or tail_from(pairs)
    if known is None:
        raise EvaluationError(
            f"Nothing is known of the impostors of {gallery.model.name}, and the {pairs.people} people enrolled are "
            "too few to learn it from: enrol some hundred, or set a distance yourself with --set max_distance=D."
        )
    likeness = likeness_of(pairs, known) if tail else Likeness(1.0, 1.0, 1.0, known.steps[0].distance, 0.0, 0.0)
    made = Calibration(rate, margin, likeness.ratio, len(enrolled), at, known)
    chances = max(comparisons(enrolled, k=k, min_share=min_share), 1.0)
    _refuse_unsupported(made, chances, shipped=tail is not None)
    limit = made.limit(chances)
    there = known.at(limit)
    return Report(
        made,
        likeness,
        tail is not None,
        chances,
        limit,
        *(
            min(chances * often * times, 1.0)
            for often, times in (
                (there.rate, likeness.ratio),
                (there.low, likeness.low),
                (there.high, likeness.high),
            )
        ),
    )


def _refuse_unsupported(made: Calibration, chances: float, *, shipped: bool) -> None:
    if made.holds(chances):
        return
    smallest = made.tail.smallest_rate * made.ratio * chances
    people = (
        f"{made.tail.people:,} people that the model was measured on" if shipped else f"{made.tail.people:,} people"
    )
    if smallest >= 1:
        raise EvaluationError(
            f"The {people} show nothing of a gallery in which a stranger has {chances:,.0f} chances: set a distance "
            "yourself with --set max_distance=D."
        )
    raise EvaluationError(
        f"A false identification rate of {made.rate:g} cannot be promised here: a stranger has {chances:,.0f} chances, "
        f"and the {people} show no rate below {made.tail.smallest_rate:.2g} a chance (three in the number of their "
        f"pairs). Ask for {_rounded_up(smallest):g} or more."
    )


def _rounded_up(rate: float) -> float:
    """To two digits."""
    unit = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return math.ceil(rate / unit - 1e-9) * unit


def likeness_of(pairs: NearPairs, tail: ImpostorTail) -> Likeness:
    """How alike people are, from how many of their pairs lie within the distance at which ``EXPECTED`` would.

    The number of near pairs is taken as Poisson's, and the ratio as a gamma variable with the tail as ``PRIOR``.
    """
    from scipy.special import gammaincinv

    possible = math.comb(pairs.people, 2)
    share = min(COMMONEST, EXPECTED / possible) if possible else COMMONEST
    distance = distance_limit({step.rate: step.distance for step in tail.steps}, 1, max(share, tail.steps[0].rate))
    near, expected = pairs.count(distance), tail.at(distance).rate * possible
    shape, scale = PRIOR + near, 1 / (PRIOR + expected)
    low, high = (float(gammaincinv(shape, end)) * scale for end in (0.025, 0.975))
    return Likeness(max(shape * scale, 1.0), low, max(high, 1.0), distance, near, expected)


def _own_pairs(gallery: PersonGallery) -> NearPairs:
    rows, people = _sampled_rows(gallery)
    return near_pairs(rows, people)


def _sampled_rows(gallery: PersonGallery) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(N, D) rows of at most ``SAMPLED`` people, and whose each is, numbered from 0."""
    ids = [person for (person,) in gallery.database.rows("SELECT id FROM people ORDER BY id", types=(int,))]
    chosen = [ids[place] for place in np.unique(np.linspace(0, len(ids) - 1, min(SAMPLED, len(ids))).astype(int))]
    vectors: list[bytes] = []
    people: list[int] = []
    number = 0
    for person in chosen:
        found = gallery.database.rows(
            """SELECT picture_id, vector FROM embeddings JOIN pictures ON pictures.id = picture_id
            WHERE person_id = ? AND against = 0 ORDER BY pictures.id LIMIT ?""",
            *(person, PICTURES),
        )
        opened = [gallery.database.sealer.opened(vector, "vector", row) for row, vector in found]
        good = [vector for vector in opened if gallery.form.is_stored(vector)]
        vectors += good
        people += [number] * len(good)
        number += bool(good)
    return gallery.form.decode(vectors), np.array(people, np.int64)


def keep(gallery: PersonGallery, calibration: Calibration) -> None:
    """Writes a calibration into its gallery, in place of the one before; everybody who has it open follows.

    Raises:
        GalleryUnavailable: read-only or locked.
    """
    kept = asdict(calibration) | {
        "tail": {"people": calibration.tail.people, "steps": [astuple(step) for step in calibration.tail.steps]}
    }
    with gallery.editing():
        gallery.database.execute("UPDATE meta SET calibration = ?, revision = revision + 1", json.dumps(kept))


def kept_calibration(database: Database) -> Calibration | None:
    """The calibration of this gallery; None where it has none.

    Raises:
        GalleryBroken: it cannot be read.
    """
    ((text,),) = database.rows("SELECT calibration FROM meta") or ((None,),)
    if text is None:
        return None
    try:
        kept = json.loads(text)
        tail = tail_of(kept["tail"]["people"], kept["tail"]["steps"])
        rate, margin, ratio, at = (float(kept[name]) for name in ("rate", "margin", "ratio", "at"))
        if not 0 < rate <= 1 or not 0 <= margin <= 4 or not ratio >= 1:
            raise ValueError("a number is out of range")
        return Calibration(rate, margin, ratio, int(kept["people"]), at, tail)
    except (KeyError, TypeError, ValueError) as error:
        raise broken(database.place, f"its calibration cannot be read: {error}") from error
