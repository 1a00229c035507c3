"""What the scenario `overload` does, part by part."""
