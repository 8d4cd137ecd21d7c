"""The wrapper: the first program of a container; fetches the secrets its environment refers to and execs the command."""
