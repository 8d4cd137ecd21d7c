"""System calls that the standard library does not offer; with ``wrapper.libc`` the only place of ctypes."""
