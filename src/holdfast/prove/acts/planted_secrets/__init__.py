"""What the scenario `planted-secrets` does, part by part."""
