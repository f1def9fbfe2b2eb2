"""Sources for measuring: invented crowds, and any source played in a circle or at a camera's pace."""
