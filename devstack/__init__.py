"""Servers and certificates to try Strongroom with on one machine: real OpenBao, throw-away authority."""
