"""Uploads: one vocabulary for every dialect, and the rules over it."""
