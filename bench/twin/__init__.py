"""The twin of the depot: the same job, written as most tutorials write it."""
