"""From the port to the operation: who asks, what may be asked, what serves it, and what is logged about it."""
