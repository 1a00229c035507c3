"""What the scenario `refusals` does, part by part."""
