"""`holdfast prove`: break a backend on purpose, and say honestly what held."""
