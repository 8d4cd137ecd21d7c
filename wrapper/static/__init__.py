"""Secrets for static programs, which load no library: a child traces the launch and repoints their environment."""
