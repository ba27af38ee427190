"""The Hugging Face Hub's protocol on loopback, from the standard library, with faults.

Files: HEAD and GET /USER/REPO/resolve/REVISION/FILE. Revisions: /api/models/ID/refs.
Upload: /api/repos/create, /api/validate-yaml, preupload and commit, all files inline.
"""

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

TOKEN = "hf_right"


class HubServer(ThreadingHTTPServer):
    """A Hub. ``fault`` is what goes wrong with requests of ``fault_method`` (any).

    ``lies`` are headers of a file's answer, by method; ``refs`` is the answer to the
    question for tags (the true one if None).
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.repositories = {}
        self.fault = self.fault_method = None
        self.lies, self.refs = {}, None
        self.requests = []
        self.sent = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def commit(self, repo_id, files):
        """Add a commit with these files (and the last one's); returns its name."""
        repo = self.repositories.setdefault(
            repo_id, {"commits": {}, "branches": {}, "tags": {}}
        )
        last = repo["commits"].get(repo["branches"].get("main"), {})
        name = hashlib.sha1(repr((len(repo["commits"]), repo_id)).encode()).hexdigest()
        repo["commits"][name] = last | files
        repo["branches"]["main"] = name
        return name

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        hub = self.server
        hub.requests.append(f"{self.command} {self.path}")
        fault = hub.fault
        if hub.fault_method not in (None, self.command):
            fault = None
        if fault in ("401", "403", "500", "503"):
            return self.send(int(fault), b"")
        if fault == "slow":
            time.sleep(2)
        if fault == "cut" and self.command != "GET":
            return self.hang_up()
        path = unquote(self.path.partition("?")[0])
        self.route(path, fault)

    def route(self, path, fault):
        words = path.strip("/").split("/")
        if words[0] != "api":
            self.file("/".join(words[:2]), words[3], "/".join(words[4:]), fault)
        elif words[1:] == ["repos", "create"]:
            asked = json.loads(self.body)
            repo_id = f"{asked.get('organization') or 'user'}/{asked['name']}"
            if self.allowed():
                if repo_id not in self.server.repositories:
                    self.server.commit(repo_id, {".gitattributes": b""})
                self.json({"url": f"{self.server.url}/{repo_id}"})
        elif words[1] == "validate-yaml":
            self.json({"errors": [], "warnings": []})
        else:
            repo_id = "/".join(words[2:4])
            repo = self.server.repositories.get(repo_id)
            if repo is None:
                self.send(404, b"", {"X-Error-Code": "RepoNotFound"})
            elif words[4] == "refs" and self.server.refs is not None:
                self.send(200, self.server.refs)
            elif words[4] == "refs":
                listed = {
                    kind: [
                        {"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c}
                        for n, c in repo[kind].items()
                    ]
                    for kind in ("branches", "tags")
                }
                self.json(listed | {"converts": []})
            elif words[4] == "preupload" and self.allowed():
                asked = json.loads(self.body)["files"]
                each = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
                self.json({"files": [each | {"path": f["path"]} for f in asked]})
            elif words[4] == "commit" and self.allowed():
                self.commit(repo_id)

    def commit(self, repo_id):
        files = {}
        for line in self.body.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                value = item["value"]
                assert value["encoding"] == "base64"
                files[value["path"]] = base64.b64decode(value["content"])
        name = self.server.commit(repo_id, files)
        url = f"{self.server.url}/{repo_id}/commit/{name}"
        self.json({"success": True, "commitOid": name, "commitUrl": url})

    def allowed(self):
        right = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if not right:
            self.send(401, b"", {"X-Error-Message": "Invalid username or password."})
        return right

    def file(self, repo_id, revision, name, fault):
        repo = self.server.repositories.get(repo_id)
        if repo is None:
            return self.send(404, b"", {"X-Error-Code": "RepoNotFound"})
        commit = {**repo["branches"], **repo["tags"]}.get(revision, revision)
        if commit not in repo["commits"]:
            return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        headers = {"X-Repo-Commit": commit}
        if name not in repo["commits"][commit]:
            return self.send(404, b"", headers | {"X-Error-Code": "EntryNotFound"})
        content = repo["commits"][commit][name]
        headers["ETag"] = f'"{hashlib.sha1(content).hexdigest()}"'
        headers |= self.server.lies.get(self.command, {})
        if fault == "wrong":
            content = bytes(len(content))
        if fault == "endless":
            return self.endless(headers)
        if fault == "cut":
            self.start(200, len(content), headers)
            self.wfile.write(content[: len(content) // 2])
            return self.hang_up()
        self.send(200, content, headers)

    def json(self, value):
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def start(self, status, length, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, status, content, headers=()):
        self.start(status, len(content), dict(headers))
        if self.command != "HEAD":
            self.wfile.write(content)

    def endless(self, headers):
        """Chunks without an end, until nobody listens."""
        self.send_response(200)
        for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                self.server.sent += 0x10000
        except OSError:
            pass

    def hang_up(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(2)


def use_hub(monkeypatch, url):
    """As HF_ENDPOINT does when it is set before the library is imported."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    constants = "huggingface_hub.constants"
    monkeypatch.setattr(f"{constants}.ENDPOINT", url)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", url)
