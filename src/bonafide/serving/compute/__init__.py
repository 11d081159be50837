"""Images to arrays: the engine, the threads that run it, and what they count."""
