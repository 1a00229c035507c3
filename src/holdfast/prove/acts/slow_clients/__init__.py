"""What the scenario `slow-clients` does, part by part."""
