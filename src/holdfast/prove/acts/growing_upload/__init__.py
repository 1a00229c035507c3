"""What the scenario `growing-upload` does, part by part."""
