"""Serving requests: from the port to the operation, in one process or several."""
