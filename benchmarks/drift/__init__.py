"""Windows of real images, changed in known ways, judged by the drift check."""
