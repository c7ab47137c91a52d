#!/usr/bin/env python3
"""Takes payments over HTTP, each under the fence of the process that sends it, and refuses what an older
process still sends. Prints its address.

  POST /payments   headers Banyan-Child: the child's place in its tree, Banyan-Fence: its fencing token
     201           taken
     400           a header is missing
     409           a newer process of that child has paid already; the body says under which fence
  GET /payments    all that were taken, one a line

The highest fence of each child is kept in the same file, and in the same transaction, as the payments: a
receiver that forgot it at a restart would let the older process in again.
"""
import http.server
import sqlite3
import sys

SCHEMA = """
CREATE TABLE IF NOT EXISTS fence (child TEXT PRIMARY KEY, fence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS payment (child TEXT, fence INTEGER, text TEXT);
"""
CLAIM = """
INSERT INTO fence (child, fence) VALUES (?, ?)
ON CONFLICT (child) DO UPDATE SET fence = excluded.fence WHERE fence.fence <= excluded.fence
"""


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        child = self.headers.get("Banyan-Child", "")
        fence = self.headers.get("Banyan-Fence", "")
        if not child or not fence.isdigit():
            return self.answer(400, "Banyan-Child and Banyan-Fence must be set")
        with self.server.db as db:  # one transaction: the check and the payment
            db.execute("BEGIN IMMEDIATE")
            if db.execute(CLAIM, (child, int(fence))).rowcount == 0:
                newest = db.execute("SELECT fence FROM fence WHERE child = ?", (child,)).fetchone()[0]
                return self.answer(409, f"fence {fence} of {child} is over: {newest} has paid")
            db.execute("INSERT INTO payment VALUES (?, ?, ?)", (child, int(fence), text))
        self.answer(201, "taken")

    def do_GET(self):
        rows = self.server.db.execute("SELECT fence, text FROM payment ORDER BY rowid").fetchall()
        self.answer(200, "".join(f"{fence} {text}\n" for fence, text in rows))

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: receiver.py FILE")
    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    server.db = sqlite3.connect(sys.argv[1], isolation_level=None)
    server.db.executescript(SCHEMA)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
