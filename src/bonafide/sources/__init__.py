"""Where images come from: folders on disk and the offline sample."""
