"""What the scenario `loud-client` does, part by part."""
