"""What the platform says about itself: metrics, logs, request ids. Every name is declared here, once."""
