"""`holdfast profile`: where the time of a running service's event loops goes, by route and by line."""
