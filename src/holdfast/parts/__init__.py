"""The parts: each keeps one promise, and each can be used alone."""
