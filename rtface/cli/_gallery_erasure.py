"""The receipt of ``rtface gallery remove --receipt FILE``."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rtface.cli._gallery import moment
from rtface.cli._shared import say
from rtface.errors import GalleryUnavailable

if TYPE_CHECKING:
    from rtface.gallery.gallery import PersonGallery
    from rtface.gallery.receipt import Receipt


def remove(gallery: PersonGallery, name: str, file: Path | None) -> None:
    """Erases somebody and writes the receipt, a JSON object; it is only begun when it can be written.

    Raises:
        GalleryUnavailable: the file is there or cannot be written, or something is left of the person.
    """
    from rtface.gallery.receipt import erase

    if file is None:
        gallery.remove(name)
        return
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise GalleryUnavailable(
            f"The receipt {file} cannot be written ({error.strerror}): nobody was erased."
        ) from error
    try:
        receipt = erase(gallery, name, time.time())
    except BaseException:
        file.unlink()
        raise
    file.write_text(json.dumps(_record(receipt), indent=1) + "\n", encoding="utf-8")
    for copy in receipt.files:
        if copy.found and not copy.own:
            say(f"{copy.file} beside the gallery is not rtface's and still holds something of {name}: delete it.")
    if not receipt.complete:
        raise GalleryUnavailable(receipt.remaining or f"Something of {name} is still on disk, see {file}.")


def _record(receipt: Receipt) -> dict[str, object]:
    from rtface.gallery.receipt import NOT_COVERED, SCRYPT, VERSION

    record = asdict(receipt) | {"at": moment(receipt.at)}
    person = {"scrypt": record.pop("name_scrypt"), "salt": record.pop("salt"), **SCRYPT}
    head = {"format": "rtface erasure receipt", "version": VERSION, "complete": receipt.complete, "person": person}
    return {**head, **record, "not_covered": NOT_COVERED}
