"""What one scenario alone brings on the stage, by scenario; what several bring is in `props`."""
