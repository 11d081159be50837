"""One pipeline a file, their compiled form, and the runners that submit them."""
