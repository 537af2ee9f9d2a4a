"""A web server with so many threads, all of them busy, for so many seconds: server.py THREADS SECONDS [once].

Each connection has a thread of its own for good; with `once`, each request has one. The load comes from a child process, which nobody records. Prints how many
requests were answered.
"""
import hashlib
import http.client
import http.server
import json
import os
import sqlite3
import string
import sys
import threading
import time

THREADS, SECONDS, ONCE = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:] == ["once"]
PAGE = string.Template("<tr><td>$id</td><td>$name</td></tr>")
answered = [0]


def items():
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE items (id INTEGER, name TEXT)")
    database.executemany("INSERT INTO items VALUES (?, ?)", ((i, "item %d" % i) for i in range(100)))
    return database.execute("SELECT id, name FROM items ORDER BY name DESC LIMIT 20").fetchall()


def page():
    return "".join(PAGE.substitute(id=id, name=name) for id, name in items()).encode()


def digest():
    return json.dumps({i: hashlib.sha256(b"%d" % i).hexdigest() for i in range(30)}).encode()


def slow():
    time.sleep(0.02)
    return b"slept"


PATHS = {"/page": page, "/digest": digest, "/slow": slow}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = PATHS[self.path]()
        answered[0] += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def ask(port, end, first):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    paths = sorted(PATHS)
    while time.monotonic() < end:
        connection.request("GET", paths[first % 3])
        connection.getresponse().read()
        first += 1
        if ONCE:
            connection.close()
    connection.close()


def load(port):
    clients = [threading.Thread(target=ask, args=(port, time.monotonic() + SECONDS, i)) for i in range(THREADS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.request_queue_size = 256
    server.socket.listen(256)
    child = os.fork()
    if child == 0:
        load(server.server_port)
        os._exit(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.waitpid(child, 0)
    server.shutdown()
    print(answered[0])


serve()
