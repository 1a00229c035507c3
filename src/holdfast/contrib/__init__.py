"""One file for each framework or library that wants a word with Holdfast. Each imports its library, and nothing else does."""
