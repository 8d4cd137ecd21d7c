"""What speaks to callers: thin, over ``bridge.service``."""
