"""Which embedding model a gallery belongs to: vectors of two models must never be compared."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtface.errors import GalleryMismatch
from rtface.gallery.database import Database, broken
from rtface.gallery.vectors import Rows, VectorForm, form_of


@dataclass(frozen=True, slots=True)
class GalleryModel:
    """What made the vectors.

    Attributes:
        name: the model's.
        fingerprint: of its weights and all else that decides what comes out.
        size: numbers in an embedding, D.
        basis: (D, d) orthonormal columns that hold the embeddings; None where all D numbers are needed.
    """

    name: str
    fingerprint: str
    size: int
    basis: Rows | None = field(default=None, compare=False, repr=False)

    def adopt(self, database: Database) -> None:
        """Inside a transaction: makes an empty gallery this model's; leaves one with rows alone."""
        database.execute(
            "UPDATE meta SET model = ?, fingerprint = ?, size = ? WHERE NOT EXISTS (SELECT 1 FROM pictures)",
            *(self.name, self.fingerprint, self.size),
        )

    def form(self, database: Database) -> VectorForm:
        """How this gallery keeps its vectors.

        Raises:
            GalleryBroken: in a way this rtface does not know, or its record is lost.
        """
        rows = database.rows("SELECT form FROM meta", types=(str,))
        if not rows:
            raise broken(database.place, "its own record is missing")
        return form_of(rows[0][0], self.size, self.basis)

    def refuse_others(self, database: Database) -> None:
        """Accepts a gallery that is empty or this model's.

        Raises:
            GalleryMismatch: it holds another model's vectors.
        """
        rows = database.rows(
            """SELECT model, fingerprint FROM meta WHERE EXISTS (SELECT 1 FROM pictures)
            AND (model, fingerprint, size) <> (?, ?, ?)""",
            *(self.name, self.fingerprint, self.size),
        )
        if not rows:
            return
        name, fingerprint = rows[0]
        again = "to enrol again into another file, rtface enroll NAME DIR --set gallery=FILE"
        if name == self.name:
            raise GalleryMismatch(
                f"The gallery {database.place} was made with other weights of the model {name} ({fingerprint}, now "
                f"{self.fingerprint}), and their distances mean nothing to each other: {again}."
            )
        raise GalleryMismatch(
            f"The gallery {database.place} was made with the model {name}, not {self.name}: to use it as it is, --set "
            f"embedder={name}; {again}."
        )
