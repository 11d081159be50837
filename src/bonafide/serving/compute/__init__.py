"""Images to arrays: the engine, and the threads that run it."""
