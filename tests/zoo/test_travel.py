"""Entries that travel: to the Hub, from it, by name, and into folders.

Tested: publish, load and pull over the Hub's protocol on loopback, with the cards'
front matter read by a YAML parser; a published entry used offline; entries whose
weights stand on the Hub; what a stranger's description may not ask for; incomplete,
damaged and changed folders; all entries at once; the command line.
Not tested: each fault of the network (tests/test_hub.py).
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from stablevid_tf import models, zoo
from stablevid_tf.cli.main import main
from stablevid_tf.zoo.entries import find, folder_of, read
from stablevid_tf.zoo.front_matter import body_of, with_front_matter

REPO = "user/repo"


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    """A very small entry, packed as any other; constrained ones load slower."""
    folder = tmp_path_factory.mktemp("shelf") / "small"
    shutil.copytree(folder_of("tiny"), folder)
    text = (folder / "model.toml").read_text()
    text = text.replace("features = 16\nblocks = 5", "features = 4\nblocks = 1")
    before, _, after = text.partition("[constraint]")
    (folder / "model.toml").write_text(before + after[after.index("[input]") :])
    weights = folder.parent / "trained.weights.h5"
    models.build("vresnet_feat", features=4, blocks=1).save_weights(weights)
    zoo.pack(folder, weights)
    return folder


@pytest.fixture
def copy(entry, tmp_path):
    """A copy of it, to be published or spoilt."""
    return Path(shutil.copytree(entry, tmp_path / "copy"))


@pytest.fixture
def address(hub_server, entry):
    """The entry on the Hub."""
    return served(hub_server, entry)


def served(hub_server, folder):
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    return f"hf://{REPO}@{hub_server.commit(REPO, files)}"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def pinned_error(model, entry):
    with np.load(entry / "pinned.npz") as pinned:
        return np.abs(np.asarray(model(pinned["input"])) - pinned["output"]).max()


def test_published_and_loaded_again(hub_server, entry, copy, monkeypatch):
    commit = zoo.publish(copy, REPO)
    on_hub = hub_server.repositories[REPO]["commits"][commit]
    here = {p.name: p.read_bytes() for p in copy.iterdir()}
    assert {k: v for k, v in on_hub.items() if k != ".gitattributes"} == here
    model = zoo.load(f"hf://{REPO}@{commit}")
    assert model.name == "repo"
    # float32 sums in another order on another machine.
    assert pinned_error(model, entry) < 1e-5
    # From now on without a network.
    hub_server.requests.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert pinned_error(zoo.load(f"hf://{REPO}@{commit}"), entry) < 1e-5
    assert hub_server.requests == []


def test_pulled_for_use_offline(address, entry, monkeypatch):
    zoo.pull(address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert zoo.card(address) == zoo.card(entry)
    assert find(address)[1]["input"]["sigma"] == 30
    assert pinned_error(zoo.load(address), entry) < 1e-5


def test_pulled_into_a_folder(address, entry, tmp_path, capsys):
    folder = tmp_path / "mine"
    assert main(["zoo", "pull", address, str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    names = {p.name for p in entry.iterdir()}
    assert {p.name for p in folder.iterdir()} == names
    for name in names:
        assert (folder / name).read_bytes() == (entry / name).read_bytes()
    # What is there stays.
    (folder / "README.md").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        zoo.pull(address, folder)
    assert (folder / "README.md").read_text() == "mine"


def test_a_pull_that_breaks_off_leaves_nothing(address, hub_server, tmp_path):
    hub_server.fault, hub_server.fault_method = "cut", "GET"
    with pytest.raises(ConnectionError):
        zoo.pull(address, tmp_path / "mine")
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == []


def test_weights_that_stand_on_the_hub(address, entry, copy, monkeypatch):
    (copy / "model.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"train\.py"):
        zoo.load(copy)
    commit = address.partition("@")[2]
    with open(copy / "model.toml", "a") as file:
        file.write(f'\n[hub]\nrepository = "{REPO}"\nrevision = "{commit}"\n')
    assert pinned_error(zoo.load(copy), entry) < 1e-5
    assert zoo.pull(copy) == copy
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert pinned_error(zoo.load(copy), entry) < 1e-5


def test_weights_with_another_checksum_are_refused(copy, hub_server):
    files = {p.name: p.read_bytes() for p in copy.iterdir()}
    files["model.weights.h5"] = files["model.weights.h5"][:-1] + b"x"
    commit = hub_server.commit(REPO, files)
    with pytest.raises(ValueError, match=r"sha256.*was removed"):
        zoo.load(f"hf://{REPO}@{commit}")


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("features = 4", "features = [16]", "numbers, strings and booleans"),
        ("features = 4", "features = {class_name = 'x'}", "numbers, strings"),
        ("features = 4", "features = 1e9", "at most 10000"),
        ("features = 4", "features = nan", "finite"),
        ("features = 4", "features = 2000-01-01", "numbers, strings and booleans"),
        ("features = 4", "features = 'many'", "features"),
        ("features = 4", "heads = 16", "does not take"),
        ("features = 4", "dtype = 'float16'", "does not take"),
        ("features = 4", "constraint = 'x'", "does not take|constraint"),
        ("[input]", "[constraint]\nalpha = 'x'\n[input]", "does not take"),
        ("[input]", "[constraint]\npower = 1\n[input]", "SRNC does not take"),
        ("[input]", "[constraint]\nbeta = [1]\n[input]", "numbers, strings"),
        ('"vresnet_feat"', '"vresnet_fest"', "nearest is 'vresnet_feat'"),
        ('"vresnet_feat"', "7", "No architecture"),
        ('"model.weights.h5"', '"../model.weights.h5"', "relative path"),
        ('"model.weights.h5"', '"/etc/passwd"', "relative path"),
        ('"model.weights.h5"', "7", "strings"),
        ("[arguments]", "[[arguments]]", "must be a table"),
    ],
)
def test_what_a_strangers_description_may_not_ask_for(hub_server, copy, old, new, says):
    edit(copy / "model.toml", old, new)
    with pytest.raises(ValueError, match=says):
        zoo.load(served(hub_server, copy))
    if ".." in new or "/etc" in new:
        assert not any("passwd" in r or ".." in r for r in hub_server.requests)


@pytest.mark.parametrize(
    "name", ["hf://user/tiny", "hf://tiny@v1", "hf://user/tiny@", "hf://a/b/c@v1"]
)
def test_addresses_that_cannot_be(name):
    with pytest.raises(ValueError, match=r"hf://user/repository@revision"):
        zoo.load(name)


def remove_recipe(folder):
    (folder / "train.py").unlink()


def damage_weights(folder):
    with open(folder / "model.weights.h5", "ab") as file:
        file.write(b"x")


def other_pinned(folder):
    with np.load(folder / "pinned.npz") as pinned:
        arrays = {"input": pinned["input"], "output": pinned["output"] + 1e-3}
    np.savez_compressed(folder / "pinned.npz", **arrays)


def pickled_pinned(folder):
    np.savez(folder / "pinned.npz", input=np.array([{}]), output=np.array([{}]))


def other_front_matter(folder):
    edit(folder / "README.md", "license: apache-2.0", "license: mit")


def no_license(folder):
    edit(folder / "model.toml", 'license = "Apache-2.0"', "")


def no_entry(folder):
    (folder / "model.toml").unlink()


@pytest.mark.parametrize(
    "spoil, says",
    [
        (remove_recipe, r"not complete: train\.py"),
        (damage_weights, "sha256"),
        (other_pinned, "not reproduced"),
        (pickled_pinned, r"pinned\.npz does not hold"),
        (other_front_matter, "license: apache-2.0"),
        (no_license, "names no license"),
        (no_entry, "not a zoo entry"),
    ],
)
def test_what_does_not_work_is_not_published(hub_server, copy, spoil, says):
    spoil(copy)
    with pytest.raises(ValueError, match=says):
        zoo.publish(copy, REPO)
    assert hub_server.requests == []


@pytest.mark.parametrize("name", zoo.names())
def test_every_card_has_the_front_matter_of_its_entry(name):
    folder = folder_of(name)
    text, entry = (folder / "README.md").read_text(), read(folder)
    assert with_front_matter(text, entry) == text
    told = yaml.safe_load(text.split("---\n")[1])
    assert told["license"] == entry["license"].lower()
    assert told["library_name"] == "keras"
    assert told["pipeline_tag"] == "video-to-video"
    assert {f"video-{entry['task']}", entry["architecture"]} <= set(told["tags"])
    assert ("stable-rank-normalisation" in told["tags"]) == ("constraint" in entry)
    assert told["metrics"] == ["psnr"]
    assert zoo.card(name).startswith(f"# {name}")


def test_front_matter_of_awkward_words():
    entry = {
        "architecture": "a: b # c",
        "license": "No",
        "task": "50 %",
        "datasets": ["user/clips", 'it\'s "so"'],
        "results": {"ssim": 1, "psnr_frame_7": 2, "steps": 3},
    }
    text = with_front_matter("# Card\n\n---\n\nmore\n", entry)
    told = yaml.safe_load(text.split("\n---\n")[0])
    assert told["license"] == "no"
    assert told["tags"][1:3] == ["video-50 %", "a: b # c"]
    assert told["datasets"] == entry["datasets"]
    assert told["metrics"] == ["psnr", "ssim"]
    # Written once however often.
    assert with_front_matter(text, entry) == text
    assert body_of(text) == "# Card\n\n---\n\nmore\n"


@pytest.fixture
def shelf(entry, tmp_path, monkeypatch):
    """A checkout with three entries, of which the second is damaged."""
    for name in ("first", "second", "third"):
        shutil.copytree(entry, tmp_path / "zoo" / name)
    damage_weights(tmp_path / "zoo" / "second")
    monkeypatch.setattr("stablevid_tf.zoo.entries._CHECKOUT", tmp_path / "zoo")
    return tmp_path / "zoo"


def test_all_are_published_and_one_failure_does_not_stop(hub_server, shelf, capsys):
    assert main(["zoo", "publish", "--all", "some-org"]) == 1
    said = capsys.readouterr()
    commits = {
        name: hub_server.repositories[f"some-org/{name}"]["branches"]["main"]
        for name in ("first", "third")
    }
    assert said.out.splitlines() == [
        f"hf://some-org/{name}@{commit}" for name, commit in commits.items()
    ]
    why, last = said.err.splitlines()
    assert why.startswith("stablevid: second: ") and "sha256" in why
    assert "1 of 3 models were not published: second." in last
    assert "some-org/second" not in hub_server.repositories
    for name, commit in commits.items():
        on_hub = hub_server.repositories[f"some-org/{name}"]["commits"][commit]
        for path in (shelf / name).iterdir():
            assert on_hub[path.name] == path.read_bytes()
    # Mended, all go up; what was published is published again.
    shutil.copy(shelf / "first" / "model.weights.h5", shelf / "second")
    assert main(["zoo", "publish", "some-org", "--all"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3 and said.err == ""


def test_a_token_that_may_not_write_fails_for_each(
    hub_server, shelf, monkeypatch, capsys
):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert main(["zoo", "publish", "--all", "some-org"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "3 of 3 models were not published: first, second, third" in said.err
    assert "hf auth login" in said.err


def test_what_keeps_all_from_being_published_is_said_once(
    hub_server, shelf, monkeypatch, capsys
):
    def said(organisation):
        assert main(["zoo", "publish", "--all", organisation]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "user/repository" in said("not an organisation")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in said("some-org")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "stablevid-tf[hub]" in said("some-org")
    assert hub_server.requests == []


def test_a_card_cannot_command_the_terminal(copy, capsys):
    card = copy / "README.md"
    card.write_text(card.read_text() + "\x1b]0;title\x07\x9b2J\ttab\n")
    assert main(["zoo", "card", str(copy)]) == 0
    shown = capsys.readouterr().out
    assert "\ttab\n" in shown
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)


def test_texts_that_are_too_large_are_not_read(hub_server, copy):
    (copy / "README.md").write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(ValueError, match=r"README\.md may have at most 1,048,576 byt"):
        zoo.card(copy)
    with pytest.raises(ValueError, match=r"README\.md may have at most 1,048,576 byt"):
        zoo.publish(copy, REPO)
    address = served(hub_server, copy)
    with pytest.raises(ValueError, match=r"README\.md of .* at most 1,048,576 bytes"):
        zoo.card(address)
    with pytest.raises(ValueError, match=r"README\.md of .* at most 1,048,576 bytes"):
        zoo.pull(address)
    with open(copy / "model.toml", "a") as file:
        file.write("#" * 2**20)
    for name in (copy, served(hub_server, copy)):
        with pytest.raises(ValueError, match=r"model\.toml .*at most 1,048,576 bytes"):
            zoo.load(name)


def test_the_command_line(hub_server, copy, capsys):
    assert main(["zoo", "publish", str(copy), REPO]) == 0
    name = capsys.readouterr().out.strip().splitlines()[-1]
    assert name == f"hf://{REPO}@{hub_server.repositories[REPO]['branches']['main']}"
    assert main(["zoo", "card", name]) == 0
    assert capsys.readouterr().out.startswith("# tiny")
    assert main(["zoo", "card", name[:-1]]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "no such revision" in said[0]
    for words in (
        ["pull"],
        ["publish", "x"],
        ["publish", "--all"],
        ["publish", "--all", "x", "y/z"],
        ["pull", "--all", "x"],
        ["list", "--all"],
        ["list", "x"],
        [],
        ["buy", "x"],
    ):
        assert main(["zoo", *words]) == 2
        assert "publish FOLDER" in capsys.readouterr().err
