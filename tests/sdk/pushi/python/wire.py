"""A line between a client and the server that passes bytes on as they are, and takes notes."""

import socket
import threading
from urllib.parse import parse_qs


class Call:
    """A request as it went over the wire, and what was answered."""

    def __init__(self, line, raw, answer):
        self.line = line
        self.raw = raw
        self.status = int(answer.split(b" ", 2)[1])
        # As it was sent, even where it has spaces that it must not have.
        first = raw.split(b"\r\n", 1)[0].decode("latin-1")
        self.method, rest = first.split(" ", 1)
        self.target = rest.rsplit(" ", 1)[0]
        self.path, _, query = self.target.partition("?")
        self.query = {name: values[-1] for name, values in parse_qs(query).items()}

    def __repr__(self):
        sid = "with" if "sid" in self.query else "without"
        return f"{self.method} {self.path} {sid} sid: {self.status}"


def _length(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _messages(peer):
    """What a peer says, message by message: each a head and a body, whole."""
    kept = b""
    while True:
        at = kept.find(b"\r\n\r\n")
        end = at + 4 + _length(kept[:at])
        if at >= 0 and len(kept) >= end:
            yield kept[:end]
            kept = kept[end:]
            continue
        piece = peer.recv(65536)
        if not piece:
            return
        kept += piece


class Wire:
    """The line. `server` gives the server that it leads to just now."""

    def __init__(self, server):
        self._server = server
        self._calls = []
        self._lines = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = "http://127.0.0.1:%d/" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def take(self):
        """The calls since it was asked last."""
        calls, self._calls = self._calls, []
        return calls

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            self._lines += 1
            threading.Thread(target=self._carry, args=(client, self._lines), daemon=True).start()

    def _carry(self, client, line):
        """One connection. No client of ours asks before it has been answered."""
        host, port = self._server().address.split(":")
        try:
            with client, socket.create_connection((host, int(port))) as server:
                answers = _messages(server)
                for request in _messages(client):
                    server.sendall(request)
                    answer = next(answers, None)
                    if answer is None:
                        # The server has hung up, and so does the line.
                        return
                    # Noted before the client can go on.
                    self._calls.append(Call(line, request, answer))
                    client.sendall(answer)
        except OSError:
            # One of them is gone.
            pass
