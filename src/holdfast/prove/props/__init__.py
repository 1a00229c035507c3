"""What scenarios bring on the stage: ways to come, to leave and to be in the way, and ways to look."""
