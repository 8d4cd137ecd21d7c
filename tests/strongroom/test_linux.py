"""System calls by the native part of ctypes: what fails is noticed."""

import ctypes
import errno
import mmap
import os

import pytest

from strongroom import linux


def test_a_result_is_read_as_the_int_that_it_is() -> None:
    """The upper half of the register is not part of it: -1 of a call that failed would not be below 0."""
    least_int = -(2**31)
    assert linux._function("abs", 1)(least_int) == least_int  # there is no such positive int


def test_a_call_that_fails_is_an_error_with_its_number() -> None:
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        linux.filesystem_type(-1)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(OSError, match="Invalid argument"):
        linux.checked(linux._prctl(999_999, 0, 0, 0, 0))
    unmapped = mmap.mmap(-1, mmap.PAGESIZE)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        linux.lock_memory(unmapped, 1 << 40)


def test_what_is_asked_for_is_done() -> None:
    descriptor = os.open("/proc/self", os.O_RDONLY)
    try:
        assert linux.filesystem_type(descriptor) == 0x9FA0  # PROC_SUPER_MAGIC (linux/magic.h)
    finally:
        os.close(descriptor)
    is_dumpable = ctypes.CDLL(None).prctl
    child = os.fork()
    if not child:
        linux.set_not_dumpable()
        linux.set_no_new_privileges()
        os._exit(is_dumpable(3, 0, 0, 0, 0) + (2 if is_dumpable(39, 0, 0, 0, 0) else 0))  # and PR_GET_NO_NEW_PRIVS
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
