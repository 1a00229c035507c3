"""What the scenario `slow-handler` does, part by part."""
