"""rtface and its peers side by side, on the same clips, in one run; see README.md in this folder."""
