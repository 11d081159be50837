from tests.registered import build, record

__all__ = ["build", "record"]
