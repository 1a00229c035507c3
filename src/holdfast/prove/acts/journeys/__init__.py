"""What the scenario `journeys` does, part by part."""
