"""`holdfast run`: uvicorn's server, extended where a process comes, goes and is replaced."""
