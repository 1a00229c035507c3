"""What the scenario `deadlines` does, part by part."""
