"""A receiver of web hooks: checks each signature, keeps what it was told, answers as it is asked to."""
import contextlib
import hashlib
import hmac
import http.server
import json
import threading
import time

from starvirt import wait_until

SECRET = "a-secret-of-enough-bytes"


class Receiver:
    def __init__(self, port=0):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.took(self, self.rfile.read(int(self.headers["Content-Length"])))

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.told, self.wrong, self.tries = [], [], []
        self.answer = lambda handler: (204, {}, b"")
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/alarms?key=canary-of-the-url"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def took(self, handler, body):
        head = handler.headers
        stamp = head["X-Starvirt-Timestamp"]
        good = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        if head["X-Starvirt-Signature"] != f"sha256={good}" or abs(time.time() - int(stamp)) > 60:
            self.wrong.append(dict(head))
        self.tries.append(head["X-Starvirt-Delivery"])
        status, headers, reply = self.answer(handler)
        if 200 <= status < 300:
            self.told.append({**json.loads(body), "delivery": head["X-Starvirt-Delivery"]})
        with contextlib.suppress(OSError):
            handler.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(reply))}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(reply)

    def of(self, type, event="raised", object=None):
        return [m for m in self.told if (m["type"], m["event"]) == (type, event) and object in (None, m["object"]["id"])]

    def hears(self, type, event="raised", object=None):
        return wait_until(lambda: self.of(type, event, object), f"the hook hears {type} {event}", 30)[-1]

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def options(tmp, *receivers, private=True):
    """Options of a server that tells them."""
    secret = tmp / "hook.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    urls = ",".join(r if isinstance(r, str) else r.url for r in receivers)
    return ["--alarm.webhook", urls, "--alarm.webhook.secret", str(secret), "--alarm.webhook.private", str(private).lower()]
