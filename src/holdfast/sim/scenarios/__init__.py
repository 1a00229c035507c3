"""What happens to a service in trouble, scenario by scenario, with what must come of it."""
