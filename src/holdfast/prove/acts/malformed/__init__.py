"""What the scenario `malformed` does, part by part."""
