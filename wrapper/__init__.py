"""The wrapper: the first program of a container. Fetches the secrets its environment refers to and execs the application."""
