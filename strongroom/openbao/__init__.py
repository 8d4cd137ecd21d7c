"""OpenBao as a client sees it: the connection, the login behind it, and its key-value engines.

What ``bridge`` and ``s3proxy`` share. Components without OpenBao, the wrapper above all, import nothing of it.
"""
