"""Python's ssl as a client: one connection for each line of JSON on standard input, one line of JSON in answer.

Every connection is given up when the server has ended it, so this program needs no time limit of its own.
"""

import json
import socket
import ssl
import sys


def exchange(task):
    """Sends the request and reads up to the server's close_notify; an end without one is an error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = task["check-name"]
    context.hostname_checks_common_name = False
    # The pinned certificate is trusted by itself, without its issuer. Python names the flag from 3.10 on.
    context.verify_flags |= 0x80000
    context.load_verify_locations(task["trusted"])
    context.set_ecdh_curve("prime256v1")
    reply = b""
    with socket.create_connection(("127.0.0.1", task["port"])) as tcp:
        with context.wrap_socket(tcp, server_hostname=task["host"], suppress_ragged_eofs=False) as tls:
            tls.sendall(task["request"].encode())
            while data := tls.recv(1 << 16):
                reply += data
    return reply


for line in sys.stdin:
    try:
        answer = {"reply": exchange(json.loads(line)).decode("latin-1")}
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
