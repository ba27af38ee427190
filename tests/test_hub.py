"""The Hub over its own protocol, on loopback.

Tested: the bytes and the requests of a download; the cache without a network; pinned
revisions; every fault (offline cold and warm, 404 for file, revision and repository,
401, 403, 500, a cut connection, wrong bytes, a slow or absent server): one line, the
right kind of error, nothing wrong kept, and no long wait; upload and its faults;
hostile answers: names that leave the cache, another commit, too many bytes, lists of
tags that are none; links out of the cache.
Not tested: huggingface.co itself; large files that go to its object storage.
"""

import hashlib
import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from hub_server import use_hub

from stablevid_tf import hub

constants = pytest.importorskip("huggingface_hub.constants")

CONTENT = b"weights" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()
REPO = "user/repo"


@pytest.fixture
def server(hub_server):
    """A Hub with one repository of two files, tagged v1.0."""
    hub_server.commit(REPO, {"w.h5": CONTENT, "deep/er.txt": b"text"})
    hub_server.repositories[REPO]["tags"]["v1.0"] = commit_of(hub_server)
    return hub_server


def commit_of(server):
    return server.repositories[REPO]["branches"]["main"]


def kept(tmp_path):
    """Files of the cache that hold bytes, but for its notes on revisions."""
    return [
        p
        for p in (tmp_path / "cache").rglob("*")
        if p.is_file() and p.stat().st_size and "refs" not in p.parts
        and p.name != "CACHEDIR.TAG" and ".locks" not in p.parts
    ]  # fmt: skip


@pytest.mark.parametrize("tag", [True, False])
def test_what_comes_is_what_was_asked_for(server, tag):
    revision = "v1.0" if tag else commit_of(server)
    path = hub.fetch(REPO, "w.h5", revision, SHA)
    assert path.read_bytes() == CONTENT
    assert hub.fetch(REPO, "deep/er.txt", revision, None).read_bytes() == b"text"
    asked = [r for r in server.requests if "w.h5" in r]
    assert asked[-1] == f"GET /{REPO}/resolve/{revision}/w.h5"


def test_the_cache_is_used_without_a_word_to_the_network(server, monkeypatch):
    for revision in ("v1.0", commit_of(server)):
        hub.fetch(REPO, "w.h5", revision, SHA)
    server.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for revision in ("v1.0", commit_of(server)):
        assert hub.fetch(REPO, "w.h5", revision, SHA).read_bytes() == CONTENT
    assert server.requests == []


def test_offline_and_cold(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"not in the cache.*Unset HF_HUB_OFF"):
        hub.fetch(REPO, "w.h5", "v1.0", SHA)
    assert server.requests == []


def test_a_damaged_cache_is_mended(server):
    path = hub.fetch(REPO, "w.h5", "v1.0", SHA)
    path.resolve().write_bytes(b"rotten")
    assert hub.fetch(REPO, "w.h5", "v1.0", SHA).read_bytes() == CONTENT


def test_a_branch_is_refused_and_its_commit_named(server):
    server.repositories[REPO]["branches"]["dev"] = commit_of(server)
    with pytest.raises(ValueError, match=commit_of(server)):
        hub.fetch(REPO, "w.h5", "dev", SHA)


@pytest.mark.parametrize("revision", [None, "", "main", "HEAD", "refs/heads/x", "a..b"])
def test_revisions_that_are_not_pinned(server, revision):
    with pytest.raises(ValueError, match="must be pinned"):
        hub.fetch(REPO, "w.h5", revision, SHA)
    assert server.requests == []


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "a\\b", "C:x", "", ".", "a//b", None]
)
def test_file_names_that_leave_the_folder(server, name):
    with pytest.raises(ValueError, match="relative path"):
        hub.fetch(REPO, name, "v1.0", SHA)
    assert server.requests == []


@pytest.mark.parametrize("repo", ["repo", "a/b/c", "../x", "a/..", "a b/c", None])
def test_repositories_that_cannot_be(server, repo):
    with pytest.raises(ValueError, match="user/repository"):
        hub.fetch(repo, "w.h5", "v1.0", SHA)


def test_a_checksum_that_is_none(server):
    with pytest.raises(ValueError, match="64 hexadecimal"):
        hub.fetch(REPO, "w.h5", "v1.0", "abc")


FAULTS = {
    # fault, the requests it hits, the error, what it says
    "401": ("401", None, PermissionError, r"private.*HF_TOKEN"),
    "403": ("403", None, PermissionError, r"private.*HF_TOKEN"),
    "500": ("500", None, ConnectionError, r"status 500. Try again later"),
    "500 at the file": ("500", "GET", ConnectionError, r"status 500"),
    "cut": ("cut", "GET", ConnectionError, r"broke off.*try again"),
    "cut at once": ("cut", "HEAD", ConnectionError, r"broke off.*try again"),
    "slow": ("slow", "HEAD", ConnectionError, r"cannot be reached.*HF_ENDPOINT"),
    "slow at the file": ("slow", "GET", ConnectionError, r"broke off.*try again"),
    "wrong bytes": ("wrong", None, ValueError, r"instead of.*was removed"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(server, tmp_path, name):
    server.fault, server.fault_method, kind, says = FAULTS[name]
    start = time.monotonic()
    with pytest.raises(kind, match=says) as caught:
        hub.fetch(REPO, "w.h5", commit_of(server), SHA)
    assert "\n" not in str(caught.value)
    assert REPO in str(caught.value)
    assert time.monotonic() - start < 10
    assert kept(tmp_path) == []
    # Nothing is left that stands in the way of the next time.
    server.fault = None
    assert hub.fetch(REPO, "w.h5", commit_of(server), SHA).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "repo, file, revision, says",
    [
        ("user/none", "w.h5", "v1.0", "no such repository"),
        (REPO, "none.h5", "v1.0", "no such file at that revision"),
        (REPO, "w.h5", "v9", "no such revision"),
        (REPO, "w.h5", "0" * 40, "no such revision"),
    ],
)
def test_what_is_not_there(server, repo, file, revision, says):
    with pytest.raises(FileNotFoundError, match=says):
        hub.fetch(repo, file, revision, SHA)


OUT = '"../../../../escaped"'
HOSTILE = {
    # headers of HEAD, headers of GET, what the error says
    "an ETag that climbs": ({"ETag": OUT}, {}, r"ETag of 40 or 64 hex.*escaped"),
    "a linked ETag that climbs": ({"X-Linked-ETag": OUT}, {}, "ETag of 40 or 64"),
    "an ETag that is absolute": ({"ETag": '"/tmp/escaped"'}, {}, "ETag of 40 or 64"),
    "a short ETag": ({"ETag": '"abc"'}, {}, "ETag of 40 or 64"),
    "no ETag": ({"ETag": ""}, {}, "ETag of 40 or 64"),
    "a commit that climbs": (
        {"X-Repo-Commit": "../../../escaped"},
        {},
        "commit of 40 hex.*escaped",
    ),
    "another commit": ({"X-Repo-Commit": "1" * 40}, {}, "answered for commit 1111"),
    "another commit later": ({}, {"X-Repo-Commit": "1" * 40}, "sent commit '1111"),
    "a large file": ({"X-Linked-Size": str(2**29)}, {}, "at most 268,435,456 bytes"),
    "another size": ({"X-Linked-Size": "12"}, {}, "announced 12 bytes and sent 7000"),
    "compressed": ({}, {"Content-Encoding": "gzip"}, "uncompressed.*'gzip'"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_hub_is_refused(server, tmp_path, name):
    on_head, on_get, says = HOSTILE[name]
    server.lies = {"HEAD": on_head, "GET": on_get}
    with pytest.raises((ValueError, ConnectionError), match=says) as caught:
        hub.fetch(REPO, "w.h5", commit_of(server), SHA)
    assert "\n" not in str(caught.value)
    assert kept(tmp_path) == []
    assert not list(tmp_path.rglob("escaped"))
    server.lies = {}
    assert hub.fetch(REPO, "w.h5", commit_of(server), SHA).read_bytes() == CONTENT


@pytest.mark.parametrize("lie", ["../../../escaped", "v1.0", ""])
def test_a_tag_that_is_another_name_than_a_commit(server, tmp_path, lie):
    server.lies = {"HEAD": {"X-Repo-Commit": lie}}
    with pytest.raises(ValueError, match="commit of 40 hexadecimal digits"):
        hub.fetch(REPO, "w.h5", "v1.0", SHA)
    assert kept(tmp_path) == []


def test_a_file_without_an_end_is_not_read_to_it(server, tmp_path):
    server.fault, server.fault_method = "endless", "GET"
    with pytest.raises(ValueError, match=r"at most 100,000 bytes. Received: more"):
        hub.fetch(REPO, "w.h5", commit_of(server), SHA, largest=100_000)
    assert server.sent < 20_000_000
    assert kept(tmp_path) == []


def test_a_cached_file_that_is_too_large_is_not_used(server):
    hub.fetch(REPO, "deep/er.txt", "v1.0", None)
    with pytest.raises(ValueError, match=r"at most 3 bytes. Received: 4 bytes"):
        hub.fetch(REPO, "deep/er.txt", "v1.0", None, largest=3)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"tags": 7}',
        b'{"tags": ["v1.0"]}',
        b'{"tags": [{"name": ["v1.0"], "targetCommit": "x"}]}',
        b'{"tags": [{"nome": "v1.0"}]}',
        b'{"tags": null}',
        b"[" * 100_000,
        b"\xff\xfe\xff",
    ],
)
def test_odd_lists_of_tags(server, tmp_path, answer):
    server.refs = answer
    with pytest.raises(
        ValueError, match=r"lists of tags and branches.*pin a full"
    ) as e:
        hub.fetch(REPO, "w.h5", "v1.0", SHA)
    assert len(str(e.value)) < 400 and "\n" not in str(e.value)
    assert kept(tmp_path) == []


def test_a_list_of_tags_that_is_too_long(server):
    server.refs = b" " * (2**20 + 1)
    with pytest.raises(ValueError, match=r"list of tags .* at most 1,048,576 bytes"):
        hub.fetch(REPO, "w.h5", "v1.0", SHA)


@pytest.mark.parametrize("sha", [SHA, None])
def test_a_link_out_of_the_cache_is_neither_read_nor_followed(server, tmp_path, sha):
    """What an earlier download by another program may have left."""
    path = hub.fetch(REPO, "w.h5", "v1.0", SHA)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    path.unlink()
    path.symlink_to(precious)
    assert hub.fetch(REPO, "w.h5", "v1.0", sha).read_bytes() == CONTENT
    assert precious.read_text() == "mine"


def test_a_linked_folder_of_the_cache_is_not_written_to(server, tmp_path):
    path = hub.fetch(REPO, "w.h5", "v1.0", SHA)
    path.unlink()
    path.parent.rmdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "w.h5").write_text("mine")
    path.parent.symlink_to(outside)
    with pytest.raises(ValueError, match="must lie in the cache"):
        hub.fetch(REPO, "w.h5", "v1.0", SHA)
    assert (outside / "w.h5").read_text() == "mine"


def test_pinned_by_content(server, monkeypatch, tmp_path):
    path = hub.fetch_newest(REPO, "w.h5", SHA)
    assert path.read_bytes() == CONTENT
    # Another version is published: the cached one is still used, without a request.
    server.commit(REPO, {"w.h5": b"other"})
    server.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.fetch_newest(REPO, "w.h5", SHA) == path
    assert server.requests == []
    with pytest.raises(ConnectionError, match="not in the cache"):
        hub.fetch_newest(REPO, "w.h5", "0" * 64)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    path.write_bytes(b"rotten")
    with pytest.raises(ValueError, match="instead of"):
        hub.fetch_newest(REPO, "w.h5", SHA)
    with pytest.raises(ValueError, match="needs a sha256"):
        hub.fetch_newest(REPO, "w.h5", None)
    with pytest.raises(FileNotFoundError, match="no such repository"):
        hub.fetch_newest("user/none", "w.h5", SHA)


def test_nobody_there(server, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    use_hub(monkeypatch, f"http://127.0.0.1:{port}")
    with pytest.raises(ConnectionError, match=r"cannot be reached.*HF_ENDPOINT"):
        hub.fetch(REPO, "w.h5", "v1.0", SHA)


def test_upload_and_back(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    commit = hub.upload("user/new", {"a.bin": tmp_path / "a.bin"}, "First")
    assert hub.fetch("user/new", "a.bin", commit, SHA).read_bytes() == CONTENT
    (tmp_path / "a.bin").write_bytes(b"second")
    second = hub.upload("user/new", {"a.bin": tmp_path / "a.bin"}, "Second")
    # The first commit stays what it was.
    assert hub.fetch("user/new", "a.bin", commit, SHA).read_bytes() == CONTENT
    assert hub.fetch("user/new", "a.bin", second, None).read_bytes() == b"second"


@pytest.mark.parametrize("fault", ["401", "500", "cut"])
def test_upload_faults(server, tmp_path, monkeypatch, fault):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    server.fault, server.fault_method = fault, "POST"
    kind = PermissionError if fault == "401" else ConnectionError
    with pytest.raises(kind, match="Upload to user/new") as caught:
        hub.upload("user/new", {"a.bin": tmp_path / "a.bin"}, "First")
    assert "\n" not in str(caught.value)
    assert "user/new" not in server.repositories


def test_upload_without_the_right(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with pytest.raises(PermissionError, match="hf auth login"):
        hub.upload("user/new", {"a.bin": tmp_path / "a.bin"}, "First")


def test_an_upload_whose_commit_is_none(server, tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    odd = SimpleNamespace(oid="\x1b[2J")
    monkeypatch.setattr("huggingface_hub.create_commit", lambda *_, **__: odd)
    with pytest.raises(ValueError, match=r"commit of 40 hex.*'\\x1b\[2J'"):
        hub.upload("user/new", {"a.bin": tmp_path / "a.bin"}, "First")


def test_without_the_library_the_extra_is_named(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"stablevid-tf\[hub\]"):
        hub.fetch(REPO, "w.h5", "v1.0", SHA)


def test_the_environment_names_the_hub(server, tmp_path):
    """In a process of its own, as a user sets it; no heavy import on the way."""
    code = (
        "import sys; from stablevid_tf.hub import fetch\n"
        "assert 'huggingface_hub' not in sys.modules\n"
        f"print(fetch({REPO!r}, 'w.h5', 'v1.0', {SHA!r}).read_bytes() == {CONTENT!r})\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    environment = os.environ | {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "True", done.stderr
