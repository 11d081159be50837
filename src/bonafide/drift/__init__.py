"""Whether what is asked today is as what the model knows; detectors run in an environment of their own."""
