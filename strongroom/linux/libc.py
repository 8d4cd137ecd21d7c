"""The C library, for those who have the time for all of ctypes."""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)  # ``strongroom.linux.checked`` reads that errno
libc.syscall.restype = ctypes.c_long
libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
