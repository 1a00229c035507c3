"""What the scenario `dependency` does, part by part."""
