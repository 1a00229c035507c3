"""What the scenario `drain` does, part by part."""
