"""What the fixtures are made with: the program, its server, an HTTP client and a mail server that rejects."""

import email
import email.policy
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import subprocess
import threading
import time
import urllib.parse


class Muster:
    """The program on one store."""

    def __init__(self, program, folder, store):
        self.program, self.folder, self.store = program, pathlib.Path(folder), store
        self.child, self.address = None, None
        self.spool = self.folder / "mail"

    def cli(self, *arguments, code=0):
        """Runs a command; its JSON document. `code` is the exit code it must have."""
        command = [self.program, "--store", self.store, "--json", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != code:
            raise SystemExit(f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def start(self, *flags):
        """Starts a server on a free port."""
        self.log = open(self.folder / "log", "a")
        environment = dict(os.environ, MUSTER_MAIL_SPOOL=str(self.spool), MUSTER_IMPORTS=str(self.folder / "imports"))
        command = [self.program, "serve", "--json", "--listen", "127.0.0.1:0", "--store", self.store, *flags]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=environment, text=True)
        self.address = json.loads(self.child.stdout.readline())["listening"].split("//")[1]

    def stop(self):
        """Asks the server to stop and waits for it."""
        self.child.send_signal(signal.SIGTERM)
        if self.child.wait(60) != 0:
            raise SystemExit("the server did not end well")
        self.log.close()

    def send(self, method, target, headers=None, body=None):
        """One request; status, headers and body as text."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        data = body.encode() if isinstance(body, str) else body
        connection.request(method, target, data, {"Host": "example.com", **(headers or {})})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, text

    def call(self, method, target, key=None, body=None, status=200, kind="application/json", headers=None):
        """A request that must be answered with `status`; the body, as a document where it is one."""
        headers = dict(headers or {})
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if body is not None:
            headers["Content-Type"] = kind
            if not isinstance(body, (str, bytes)):
                # Escapes keep every code point as it is.
                body = json.dumps(body)
        got, _, text = self.send(method, target, headers, body)
        if got != status:
            raise SystemExit(f"{method} {target} {body!r}: {got} instead of {status}: {text}")
        try:
            return json.loads(text)
        except ValueError:
            return text

    def mailed(self, address, count=1):
        """The paths of the links that were mailed to somebody, the oldest first, as soon as there are so many."""
        for _ in range(600):
            links = []
            for file in sorted(self.spool.glob("*.eml")):
                mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                if address in str(mail["To"]):
                    text = mail.get_body(("plain",)).get_content()
                    links.append(re.search(r"https?://[^/\s]+(/t/\S+)", text).group(1))
            if len(links) >= count:
                return links
            time.sleep(0.1)
        raise SystemExit(f"there is no mail to {address}")


class Browser:
    """Somebody who looks at pages, keeps cookies and fills in forms."""

    def __init__(self, muster):
        self.muster, self.cookies = muster, {}

    def ask(self, method, path, body=None):
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        status, answer, text = self.muster.send(method, path, headers, body)
        for line in answer.get_all("Set-Cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return status, answer.get("Location"), text

    def submit(self, path, **fields):
        """Looks at a page and sends its form, which must be taken; where it leads."""
        status, _, text = self.ask("GET", path)
        token = re.search(r'name="token" value="([^"]+)"', text)
        if status != 200 or not token:
            raise SystemExit(f"{path}: {status}: {text}")
        status, location, text = self.ask("POST", path, urllib.parse.urlencode({"token": token.group(1), **fields}))
        if status not in (200, 303):
            raise SystemExit(f"{path}: {status}: {text}")
        return location


class RejectingMailServer(socketserver.ThreadingTCPServer):
    """Speaks enough SMTP to reject recipients: `never…` permanently, all others for now."""

    allow_reuse_address, daemon_threads = True, True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.say("220 mail.example.com")
            for raw in self.rfile:
                word = raw.decode(errors="replace").strip().upper()
                if word.startswith("RCPT TO:<NEVER"):
                    self.say("550 5.1.1 There is no such mailbox")
                elif word.startswith("RCPT"):
                    self.say("451 4.3.0 Try again later")
                elif word.startswith("QUIT"):
                    return self.say("221 Bye")
                else:
                    self.say("250 mail.example.com")

        def say(self, line):
            self.wfile.write(f"{line}\r\n".encode())

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"smtp://127.0.0.1:{self.server_address[1]}?tls=none"


def free_port():
    """A port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, test, seconds=60):
    """Waits for something that others do; what `test` answers."""
    for _ in range(seconds * 10):
        found = test()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"timed out: {what}")
