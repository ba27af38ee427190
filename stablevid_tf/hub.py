"""The Hugging Face Hub: one pinned, checked download, and one upload."""

import contextlib
import hashlib
import re
from pathlib import Path, PurePosixPath

_SCHEME = "hf://"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_REPOSITORY = re.compile(rf"{_WORD}/{_WORD}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_EXTRA = (
    "The Hub is reached through the package huggingface_hub, which is not installed. "
    "Install it with: pip install 'stablevid-tf[hub]'"
)


def address(name):
    """Repository and revision of ``hf://user/repository@revision``; None of others.

    Raises:
        ValueError: it begins with ``hf://`` and has another form.
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


def fetch(repo_id, filename, revision, sha256):
    """A file of a Hub repository at a pinned revision, checked and kept.

    What is in the cache (``HF_HUB_CACHE``) and right is used without asking the
    network. What comes with another checksum is removed again.

    Args:
        repo_id: ``"user/repository"``.
        filename: the file's path inside it.
        revision: a commit (its 40 hexadecimal digits), or a tag. No branch: it moves.
        sha256: of the file, in hexadecimal; None where the revision alone vouches for
            it (such as the description that names the other files' checksums).

    Returns:
        The path of the local copy, to be read only.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: an address that cannot be, a branch, or a wrong checksum.
        FileNotFoundError: no such repository, revision or file.
        PermissionError: the repository is private or gated, or the token wrong.
        ConnectionError: the Hub cannot be reached, fails, or breaks off.

    Example:
        >>> from stablevid_tf.hub import fetch
        >>> fetch("user/repo", "model.toml", "v1.0", None)       # doctest: +SKIP
    """
    _check(repo_id, filename, revision, sha256)
    hub = _library()
    where = f"{filename} of {repo_id} at {revision}"
    kept = hub.try_to_load_from_cache(repo_id, filename, revision=revision)
    if isinstance(kept, str) and (sha256 is None or sha256_of(kept) == sha256):
        return Path(kept)
    if isinstance(kept, str):
        _remove(Path(kept))
    if hub.constants.is_offline_mode():
        raise ConnectionError(
            f"{where} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it. "
            "Unset HF_HUB_OFFLINE, or pull it once where there is a network."
        )
    with _in_plain_words(hub, where):
        _ask(hub, repo_id, filename, revision)
        path = Path(hub.hf_hub_download(repo_id, filename, revision=revision))
    if sha256 is not None and (found := sha256_of(path)) != sha256:
        _remove(path)
        raise ValueError(
            f"{where} came with sha256 {found} instead of {sha256}, and was removed. "
            "Fetch it again; if it stays so, the repository holds another file than "
            "the one that was published: do not use it, and tell its owner."
        )
    return path


def upload(repo_id, files, message):
    """Put files into a repository of the Hub, which is made where there is none.

    Args:
        repo_id: ``"user/repository"``; needs a token that may write (``HF_TOKEN``, or
            ``hf auth login``).
        files: ``{path in the repository: local path}``. Others there stay.
        message: of the commit.

    Returns:
        The commit, 40 hexadecimal digits: the revision to pin.

    Raises:
        ImportError, ValueError, FileNotFoundError, PermissionError, ConnectionError:
            as :func:`fetch`. All files arrive in one commit or none does.

    Example:
        >>> from stablevid_tf.hub import upload
        >>> upload("user/repo", {"a.txt": "a.txt"}, "First")     # doctest: +SKIP
    """
    for name in files:
        _check(repo_id, name, "v0", None)
    hub = _library()
    if hub.constants.is_offline_mode():
        raise ConnectionError(
            f"Nothing was uploaded to {repo_id}: HF_HUB_OFFLINE forbids it. Unset it."
        )
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
    return commit.oid


def check_file_name(name):
    """Raise unless ``name`` is a path that stays inside its folder.

    Raises:
        ValueError: it is absolute, climbs, or holds what file systems read otherwise.
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    plain = parts and name == "/".join(parts) and not name.startswith("/")
    if not plain or ".." in parts or re.search(r"[\\:\x00-\x1f]", name):
        raise ValueError(
            "A file is named by a relative path that stays inside its folder, such as "
            f"'model.weights.h5'. Received: {name!r}"
        )


def sha256_of(path):
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(repo_id, filename, revision, sha256):
    if not isinstance(repo_id, str) or not _REPOSITORY.fullmatch(repo_id):
        raise ValueError(
            f"A repository of the Hub is named 'user/repository'. Received: {repo_id!r}"
        )
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


def _ask(hub, repo_id, filename, revision):
    """One question to the Hub before the download, whose retries take minutes.

    Raises:
        ValueError: ``revision`` is neither a commit nor a tag.
    """
    timeout = hub.constants.HF_HUB_ETAG_TIMEOUT
    url = hub.hf_hub_url(repo_id, filename, revision=revision)
    hub.get_hf_file_metadata(url, timeout=timeout)
    if _COMMIT.fullmatch(revision):
        return
    answer = hub.utils.get_session().get(
        f"{hub.constants.ENDPOINT}/api/models/{repo_id}/refs",
        headers=hub.utils.build_hf_headers(),
        timeout=timeout,
    )
    hub.utils.hf_raise_for_status(answer)
    refs = answer.json()
    if revision in [tag["name"] for tag in refs.get("tags", [])]:
        return
    at = [b["targetCommit"] for b in refs.get("branches", []) if b["name"] == revision]
    now = f" It is a branch, now at commit {at[0]}: pin that." if at else ""
    raise ValueError(f"{revision} is no tag and no full commit of {repo_id}.{now}")


@contextlib.contextmanager
def _in_plain_words(hub, what):
    """The Hub's errors, and the network's, as one line that says what to do."""
    errors, endpoint = hub.errors, hub.constants.ENDPOINT
    try:
        yield
    except (errors.HTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        # A refusal by this machine (a full disk) is told as it is.
        if isinstance(error, OSError) and error.errno is not None:
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


def _remove(path):
    """A file of the cache, and what it links to."""
    target = path.resolve()
    path.unlink(missing_ok=True)
    target.unlink(missing_ok=True)
