"""What every service has: a port, health and metrics on another one, and work that goes on beside its requests."""
