"""Free memory of a server is used again: a buffer of some MiB does not fault in its pages anew each time."""

import subprocess
import sys

PROGRAM = """
import resource
from strongroom.linux.process import keep_free_memory
keep_free_memory(blocks_bytes=8 << 20, free_bytes=32 << 20)
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        several = [bytearray(b"x" * size) for _ in range(3)]
        del several
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 50
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
for size in (1 << 20, 4 << 20):
    print(faults(size))
held = [bytearray(b"x" * (1 << 20)) for _ in range(200)]
full = resident()
held.clear()
print((full - resident()) >> 20)
"""


def test_large_buffers_cost_no_pages_each_time_and_a_burst_of_memory_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    *faults, given_back_mib = map(int, done.stdout.split())
    assert max(faults) < 100
    assert given_back_mib > 200 - 32 - 8
