"""The wrapper: the first program of a container. Fetches its secrets and execs the application."""
