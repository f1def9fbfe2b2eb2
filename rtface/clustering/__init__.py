"""Faces put together by person, without knowing anybody."""
