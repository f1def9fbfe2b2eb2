"""``python -m rtface``."""

from rtface.cli import main

main()
