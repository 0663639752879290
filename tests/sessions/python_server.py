"""A WSGI server with a thread for each request, on a free port."""

import os
import socketserver
import time
import wsgiref.simple_server


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def serve(application):
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, application, Server, Handler)
    print(f"listening {server.server_port}", flush=True)
    server.serve_forever()


def wait_between(begun, go):
    """Says that the request has begun, and waits until it may end."""
    open(begun, "w").close()
    while not os.path.exists(go):
        time.sleep(0.01)
