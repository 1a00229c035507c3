"""What the scenario `killed-upload` does, part by part."""
