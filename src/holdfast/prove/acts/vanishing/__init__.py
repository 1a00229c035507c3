"""What the scenario `vanishing` does, part by part."""
