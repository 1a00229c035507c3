"""What the scenario `power-loss` does, part by part."""
