"""The Hugging Face Hub: one pinned, checked download, and one upload."""

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

# The most bytes that are fetched: of a text (a description, a card, a recipe), and of
# any other file. The largest architecture with 64 features holds 25 MB of weights.
LARGEST_TEXT = 2**20
LARGEST_FILE = 2**28

_SCHEME = "hf://"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CHUNK = 2**16
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_REPOSITORY = re.compile(rf"{_WORD}/{_WORD}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_EXTRA = (
    "The Hub is reached through the package huggingface_hub, which is not installed. "
    "Install it with: pip install 'stablevid-tf[hub]'"
)


def address(name: str | os.PathLike[str]) -> dict[str, str] | None:
    """Repository and revision of `hf://user/repository@revision`; None for other names.

    Raises:
        ValueError: `name` begins with `hf://` and has another form.

    Example:
        >>> from stablevid_tf import hub
        >>> hub.address("hf://user/repo@v1.0")
        {'repository': 'user/repo', 'revision': 'v1.0'}
    """
    if not str(name).startswith(_SCHEME):
        return None
    repository, at, revision = str(name)[len(_SCHEME) :].partition("@")
    if not at or not revision or repository.count("/") != 1:
        raise ValueError(
            "An address on the Hub is hf://user/repository@revision, with a commit "
            f"or a tag as the revision. Received: {name!r}"
        )
    return {"repository": repository, "revision": revision}


def fetch(
    repo_id: str,
    filename: str,
    revision: str,
    sha256: str | None,
    largest: int = LARGEST_FILE,
) -> Path:
    """Download a file of a Hub repository at a pinned revision, check it and cache it.

    A correct file in the cache (`HF_HUB_CACHE`) is used without any request. A file
    with another checksum is removed again.

    Args:
        repo_id: `"user/repository"`.
        filename: the file's path inside it.
        revision: a commit (its 40 hexadecimal digits), or a tag. Branches are refused,
            because they move.
        sha256: the file's sha256 in hexadecimal; None if the revision alone is the
            guarantee (such as for `model.toml`, which names the weights' sha256).
        largest: the most bytes to accept. Default: 256 MiB.

    Returns:
        The path of the local copy. Read it only; do not change it.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: a malformed address, a branch, a wrong checksum, a file that is too
            large, or an answer that no Hub gives.
        FileNotFoundError: no such repository, revision or file.
        PermissionError: the repository is private or gated, or the token is wrong.
        ConnectionError: the Hub is unreachable, fails, or ends the transfer early.

    Example:
        >>> from stablevid_tf import hub
        >>> hub.fetch("user/repo", "model.toml", "v1.0", None)   # doctest: +SKIP
    """
    _check(repo_id, filename, revision, sha256)
    hub = _library()
    kept = hub.try_to_load_from_cache(repo_id, filename, revision=revision)
    if isinstance(kept, str):
        if _usable(hub, Path(kept), sha256, largest):
            return Path(kept)
        _remove(hub, Path(kept))
    where = f"{filename} of {repo_id} at {revision}"
    with _asking(hub, where):
        meta = _ask(hub, where, repo_id, filename, revision, largest)
        return _download(hub, where, repo_id, filename, revision, sha256, meta, largest)


def fetch_newest(
    repo_id: str, filename: str, sha256: str, largest: int = LARGEST_FILE
) -> Path:
    """Download a file that is pinned by its content instead of by a revision.

    Any cached revision of the file with this sha256 is used without any request.
    Otherwise the file comes from the repository's branch `main`, and is removed again
    if its checksum differs.

    Args:
        repo_id, filename, largest: as for `fetch`.
        sha256: the file's sha256 in hexadecimal.

    Returns:
        The path of the local copy. Read it only; do not change it.

    Raises:
        ImportError, ValueError, FileNotFoundError, PermissionError, ConnectionError:
            as `fetch`.

    Example:
        >>> from stablevid_tf import hub
        >>> hub.fetch_newest("user/repo", "a.bin", 64 * "0")     # doctest: +SKIP
    """
    if sha256 is None:
        raise ValueError(
            f"{filename} of {repo_id} needs a sha256, because no revision pins it. "
            "Received: None"
        )
    _check(repo_id, filename, "v0", sha256)
    hub = _library()
    for snapshot in sorted((_folder(hub, repo_id) / "snapshots").glob("*")):
        kept = snapshot / filename
        if kept.is_file() and _usable(hub, kept, sha256, largest):
            return kept
    where = f"{filename} of {repo_id}"
    with _asking(hub, where):
        meta = _metadata(hub, where, repo_id, filename, "main", largest)
        commit = meta.commit_hash
        return _download(hub, where, repo_id, filename, commit, sha256, meta, largest)


def upload(
    repo_id: str, files: Mapping[str, str | os.PathLike[str]], message: str
) -> str:
    """Upload files to a Hub repository in one commit; creates a missing repository.

    Args:
        repo_id: `"user/repository"`. Needs a token with write access (`HF_TOKEN`, or
            `hf auth login`).
        files: `{path in the repository: local path}`. Other files there are kept.
        message: the commit's message.

    Returns:
        The commit, 40 hexadecimal digits: the revision to pin.

    Raises:
        ImportError, ValueError, FileNotFoundError, PermissionError, ConnectionError:
            as `fetch`. Either all files are uploaded or none.

    Example:
        >>> from stablevid_tf import hub
        >>> hub.upload("user/repo", {"a.txt": "a.txt"}, "First")  # doctest: +SKIP
    """
    check_upload(repo_id)
    for name in files:
        check_file_name(name)
    hub = _library()
    with _in_plain_words(hub, f"Upload to {repo_id}"):
        hub.create_repo(repo_id, exist_ok=True)
        commit = hub.create_commit(
            repo_id,
            [
                hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(path))
                for name, path in files.items()
            ],
            commit_message=message,
        )
        _check_commit(commit.oid, f"Upload to {repo_id}", hub)
    return commit.oid


def check_upload(repo_id: str) -> None:
    """Raise if an upload cannot even begin.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: `repo_id` is malformed.
        ConnectionError: HF_HUB_OFFLINE is set.
    """
    _check_repository(repo_id)
    if _library().constants.is_offline_mode():
        raise ConnectionError(
            f"Nothing was uploaded to {repo_id}: HF_HUB_OFFLINE is set. Unset it."
        )


def check_file_name(name: str) -> None:
    """Raise unless `name` is a path that stays inside its folder.

    Raises:
        ValueError: it is absolute, contains `..`, a backslash, a colon or a control
            character.
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    plain = parts and name == "/".join(parts) and not name.startswith("/")
    if not plain or ".." in parts or re.search(r"[\\:\x00-\x1f]", name):
        raise ValueError(
            "A file's name must be a relative path that stays inside its folder, such "
            f"as 'model.weights.h5'. Received: {name!r}"
        )


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_repository(repo_id):
    if not isinstance(repo_id, str) or not _REPOSITORY.fullmatch(repo_id):
        raise ValueError(
            f"A repository of the Hub is named 'user/repository'. Received: {repo_id!r}"
        )


def _check(repo_id, filename, revision, sha256):
    _check_repository(repo_id)
    check_file_name(filename)
    if (
        not isinstance(revision, str)
        or not _REVISION.fullmatch(revision)
        or ".." in revision
        or revision in ("main", "master", "HEAD")
        or revision.startswith("refs/")
    ):
        raise ValueError(
            f"The revision of {repo_id} must be pinned: a commit (40 hexadecimal "
            f"digits) or a tag, no branch. Received: {revision!r}"
        )
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", str(sha256)):
        raise ValueError(
            f"A sha256 has 64 hexadecimal digits (lower case). Received: {sha256!r}"
        )


def _library():
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise ImportError(_EXTRA) from error
    return huggingface_hub


def _ask(hub, where, repo_id, filename, revision, largest):
    """What the Hub says of a file at a pinned revision, before the download.

    Raises:
        ValueError: `revision` is neither a commit nor a tag, or as `_metadata`.
    """
    meta = _metadata(hub, where, repo_id, filename, revision, largest)
    if _COMMIT.fullmatch(revision):
        return meta
    url = f"{hub.constants.ENDPOINT}/api/models/{repo_id}/refs"
    with _answer(hub, url) as answer:
        text = b"".join(_chunks(answer, f"The list of tags of {repo_id}", LARGEST_TEXT))
    tags, branches = _refs(text, repo_id, hub)
    if revision in tags:
        return meta
    at = str(branches.get(revision))
    branch = _COMMIT.fullmatch(at)
    now = f" It is a branch, now at commit {at}: pin that." if branch else ""
    raise ValueError(f"{revision} is no tag and no full commit of {repo_id}.{now}")


def _metadata(hub, where, repo_id, filename, revision, largest):
    """ETag, commit and size of a file, refused unless they are what a Hub sends.

    The ETag and the commit become names in the cache of other programs too: any other
    form than hexadecimal digits could name a file outside it.
    """
    url = hub.hf_hub_url(repo_id, filename, revision=revision)
    timeout = hub.constants.HF_HUB_ETAG_TIMEOUT
    meta = hub.get_hf_file_metadata(url, timeout=timeout)
    if not isinstance(meta.etag, str) or not _ETAG.fullmatch(meta.etag):
        raise ValueError(
            f"{where}: {hub.constants.ENDPOINT} must answer with an ETag of 40 or 64 "
            f"hexadecimal digits. Received: {_shown(meta.etag)}. Nothing was fetched. "
            "Check HF_ENDPOINT; do not use this server if it is right."
        )
    _check_commit(meta.commit_hash, where, hub)
    if _COMMIT.fullmatch(revision) and meta.commit_hash != revision:
        raise ValueError(
            f"{where}: {hub.constants.ENDPOINT} answered for commit "
            f"{meta.commit_hash}. Nothing was fetched. Check HF_ENDPOINT; do not use "
            "this server if it is right."
        )
    if meta.size is not None and meta.size > largest:
        raise _too_large(where, f"{meta.size:,} bytes", largest)
    return meta


def _check_commit(commit, where, hub):
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise ValueError(
            f"{where}: {hub.constants.ENDPOINT} must answer with a commit of 40 "
            f"hexadecimal digits. Received: {_shown(commit)}. Check HF_ENDPOINT; do "
            "not use this server if it is right."
        )


def _refs(text, repo_id, hub):
    """Tags and branches in the Hub's answer, each `{name: commit}`."""
    try:
        refs = json.loads(text)
        return [
            {item["name"]: item["targetCommit"] for item in refs.get(kind, [])}
            for kind in ("tags", "branches")
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{hub.constants.ENDPOINT} must answer with the lists of tags and branches "
            f"of {repo_id}. Received: {_shown(text[:60])}. Check HF_ENDPOINT, or pin a "
            "full commit (40 hexadecimal digits)."
        ) from error


def _download(hub, where, repo_id, filename, revision, sha256, meta, largest):
    """Write a file into the cache, under its own name only when it is whole and right.

    The cache has the layout of huggingface_hub, on a file system without links.
    """
    folder = _folder(hub, repo_id)
    path = folder / "snapshots" / meta.commit_hash / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_inside(hub, path.parent)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    url = hub.hf_hub_url(repo_id, filename, revision=revision)
    try:
        with _answer(hub, url) as answer, open(partial, "xb") as file:
            _check_same_commit(answer, meta.commit_hash, where, hub)
            for chunk in _chunks(answer, where, largest):
                file.write(chunk)
        found, size = sha256_of(partial), partial.stat().st_size
        if meta.size is not None and size != meta.size:
            raise ConnectionError(
                f"{where}: {hub.constants.ENDPOINT} announced {meta.size} bytes and "
                f"sent {size}. Nothing was kept. Try again."
            )
        if sha256 is not None and found != sha256:
            raise ValueError(
                f"{where} came with sha256 {found} instead of {sha256}, and was "
                "removed. Fetch it again; if it stays so, the repository holds another "
                "file than the published one: do not use it, and tell its owner."
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if revision != meta.commit_hash:
        _note(hub, folder / "refs" / revision, meta.commit_hash)
    return path


def _note(hub, path, commit):
    """Write down which commit a tag is, so that the cache alone can answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_inside(hub, path.parent)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with open(partial, "x") as file:
            file.write(commit)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _answer(hub, url):
    """A request for content, whose answer is read bit by bit; nothing is unpacked."""
    headers = hub.utils.build_hf_headers() | {"Accept-Encoding": "identity"}
    timeout = hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
    asked = hub.utils.get_session().stream(
        "GET", url, headers=headers, timeout=timeout, follow_redirects=True
    )
    with asked as answer:
        if answer.status_code >= 400:
            # Its text, which may have no end, is left unread.
            raise hub.errors.HfHubHTTPError(
                f"status {answer.status_code}", response=answer
            )
        yield answer


def _chunks(answer, where, largest):
    """The bytes of an answer, at most `largest` of them.

    Raises:
        ValueError: there are more, or they are compressed.
    """
    coding = answer.headers.get("Content-Encoding", "identity")
    if coding != "identity":
        raise ValueError(
            f"{where} must come uncompressed. Received: Content-Encoding "
            f"{_shown(coding)}. Check HF_ENDPOINT and the proxy."
        )
    count = 0
    for chunk in answer.iter_raw(_CHUNK):
        count += len(chunk)
        if count > largest:
            raise _too_large(where, "more", largest)
        yield chunk


def _check_same_commit(answer, commit, where, hub):
    """Raise if the content belongs to another commit than the one that was checked."""
    for each in [*answer.history, answer]:
        said = each.headers.get(hub.constants.HUGGINGFACE_HEADER_X_REPO_COMMIT, commit)
        if said != commit:
            raise ValueError(
                f"{where}: {hub.constants.ENDPOINT} sent commit {_shown(said)} instead "
                f"of {commit}. Nothing was kept. Try again; do not use this server if "
                "it stays so."
            )


def _too_large(where, received, largest):
    return ValueError(
        f"{where} may have at most {largest:,} bytes. Received: {received}. Nothing "
        "was kept. Use another repository, or ask its owner for a smaller file."
    )


def _shown(value):
    """What a stranger sent, on one line, short, without control characters."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _folder(hub, repo_id):
    """The folder of a repository in the cache."""
    name = "--".join(["models", *repo_id.split("/")])
    return Path(hub.constants.HF_HUB_CACHE) / name


def _inside(hub, path):
    """Whether a path, links followed, lies in the cache."""
    cache = Path(hub.constants.HF_HUB_CACHE).resolve()
    return path.resolve().is_relative_to(cache)


def _check_inside(hub, path):
    if not _inside(hub, path):
        raise ValueError(
            f"{path} must lie in the cache {hub.constants.HF_HUB_CACHE}. Received: a "
            f"link to {path.resolve()}. Remove the link."
        )


def _usable(hub, path, sha256, largest):
    """Whether a cached file may be used: it lies in the cache, small and right."""
    if not _inside(hub, path) or path.stat().st_size > largest:
        return False
    return sha256 is None or sha256_of(path) == sha256


def _remove(hub, path):
    """Remove a file of the cache, and what it links to if that lies in the cache."""
    target = path.resolve()
    if _inside(hub, path.parent):
        path.unlink(missing_ok=True)
        if _inside(hub, target):
            target.unlink(missing_ok=True)


@contextlib.contextmanager
def _asking(hub, where):
    """Requests for a file; refused offline, their errors in plain words."""
    if hub.constants.is_offline_mode():
        raise ConnectionError(
            f"{where} is not in the cache {hub.constants.HF_HUB_CACHE}, and "
            "HF_HUB_OFFLINE is set. Unset HF_HUB_OFFLINE, or fetch the file once where "
            "there is a network."
        )
    with _in_plain_words(hub, where):
        yield


@contextlib.contextmanager
def _in_plain_words(hub, what):
    """Turn errors of the Hub and of the network into one line that says what to do."""
    errors, endpoint = hub.errors, hub.constants.ENDPOINT
    try:
        yield
    except (errors.HTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        # Ours, and those of this machine (a full disk), stay as they are.
        ours = type(error) is ConnectionError
        if ours or (isinstance(error, OSError) and error.errno is not None):
            raise
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise PermissionError(
                f"{what}: {endpoint} answered {status}. The repository is private, "
                "gated or does not exist, or the token may not do this. Log in with "
                "`hf auth login`, or set HF_TOKEN to a valid token."
            ) from error
        if isinstance(error, errors.RevisionNotFoundError):
            missing = "the repository has no such revision"
        elif isinstance(error, errors.RemoteEntryNotFoundError):
            missing = "the repository has no such file at that revision"
        elif status == 404:
            missing = "there is no such repository"
        elif status is None:
            # The Hub's library wraps what the network said.
            said = error.__cause__ or error
            text = (str(said).splitlines() or [""])[0] or "no answer in time"
            raise ConnectionError(
                f"{what}: {endpoint} cannot be reached, or broke off "
                f"({type(said).__name__}: {text}). Nothing was kept. Check the network "
                "and HF_ENDPOINT, and try again."
            ) from error
        else:
            raise ConnectionError(
                f"{what}: {endpoint} failed with status {status}. Try again later; "
                "what is in the cache can be used meanwhile."
            ) from error
        raise FileNotFoundError(
            f"{what}: {missing} ({endpoint} answered {status}). Check the spelling."
        ) from error
