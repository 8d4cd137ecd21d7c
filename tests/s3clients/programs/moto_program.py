"""moto's S3 on a free port of loopback: prints the port, and ends with its stdin."""

import sys

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)  # noqa: T201 - the answer
sys.stdin.read()
server.stop()
