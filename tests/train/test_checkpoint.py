"""Model files: a round trip, refusal of everything else, and writing that cannot leave half a file."""

import io
import json
import os
import stat
import struct
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tr
from tinygrad_rnn.train import checkpoint
from tinygrad_rnn.train.charmodel import CharModel
from tinygrad_rnn.train.checkpoint import CheckpointError, load, save
from tinygrad_rnn.train.text import Vocabulary


def model(cell="gru", layers=1, dtype=np.float64, seed=0):
    vocabulary = Vocabulary("\n abcß☕𝄞")
    return CharModel(vocabulary, cell, 6, layers, dtype=dtype, rng=np.random.default_rng(seed))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.npz"
    save(path, model())
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path, compression=zipfile.ZIP_STORED, **changes):
    """Write the file again with members changed or, where None, left out."""
    content = {**members(path), **{name.replace("__", "."): raw for name, raw in changes.items()}}
    write(path, {name: raw for name, raw in content.items() if raw is not None}, compression)


def write(path, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, raw in content.items():
            archive.writestr(name, raw)


def with_metadata(path, **changes):
    metadata = json.loads(members(path)["metadata.json"]) | changes
    write(path, members(path) | {"metadata.json": json.dumps(metadata).encode()})


def npy(array, **settings):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **settings)
    return stream.getvalue()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_comes_back_bit_for_bit(tmp_path, cell, layers, dtype):
    original = model(cell, layers, dtype)
    save(tmp_path / "m.npz", original)
    loaded = load(tmp_path / "m.npz")
    assert (loaded.cell, loaded.hidden_size, loaded.num_layers) == (cell, 6, layers)
    assert loaded.vocabulary == original.vocabulary
    assert loaded.dtype == dtype
    state = original.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    for name, array in loaded.state_dict().items():
        assert array.dtype == dtype
        np.testing.assert_array_equal(array, state[name])
    assert loaded.sample("abc", 50, rng=np.random.default_rng(1)) == original.sample(
        "abc", 50, rng=np.random.default_rng(1)
    )


def test_numpy_and_json_read_the_file(saved):
    metadata = json.loads(members(saved)["metadata.json"])
    assert metadata["format"] == "tinygrad_rnn model"
    assert (metadata["version"], metadata["kind"], metadata["cell"]) == (1, "CharModel", "gru")
    assert metadata["vocabulary"] == "\n abcß☕𝄞"
    with np.load(saved, allow_pickle=False) as arrays:
        assert arrays["rnn.weight_hh_l0"].shape == (18, 6)
        assert {
            name: list(arrays[name].shape) for name in arrays.files if name != "metadata.json"
        } == metadata["parameters"]


def test_equal_models_give_equal_bytes(tmp_path):
    save(tmp_path / "a", model())
    save(tmp_path / "b", model())
    save(tmp_path / "c", model(seed=1))
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_only_character_models_are_saved(tmp_path):
    with pytest.raises(TypeError, match=r"must be a CharModel, not Linear; other modules: numpy\.savez"):
        save(tmp_path / "m", tr.nn.Linear(1, 1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("raw", [b"", b"PK", b"\x80\x04N.", b"\x93NUMPY\x01\x00", b"# no model at all" * 99])
def test_other_files_are_refused(tmp_path, raw):
    (tmp_path / "m").write_bytes(raw)
    with pytest.raises(CheckpointError, match="m: not a model file"):
        load(tmp_path / "m")


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        load(tmp_path / "missing")
    with pytest.raises(CheckpointError, match=r"cannot be read: (Is a directory|Permission denied)"):
        load(tmp_path)


def test_every_truncation_is_refused(saved):
    raw = saved.read_bytes()
    for size in range(0, len(raw), 97):
        saved.write_bytes(raw[:size])
        with pytest.raises(CheckpointError):
            load(saved)


def test_other_archives_are_refused(tmp_path):
    np.savez(tmp_path / "m.npz", weight=np.ones(3))
    with pytest.raises(CheckpointError, match=r"there is no metadata\.json"):
        load(tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "another"}, "no format 'tinygrad_rnn model'"),
        ({"version": 2}, "format version 2 is unknown; this program reads version 1"),
        ({"version": None}, "format version None is unknown"),
        ({"version": True}, "format version True is unknown"),
        ({"kind": "Transformer"}, "kind 'Transformer' is unknown"),
        ({"cell": "mgu"}, "cell is 'mgu'; legal: lstm | gru | rnn"),
        ({"cell": ["gru"]}, "cell is"),
        ({"hidden_size": 0}, "hidden_size is '0'; legal: integers from 1"),
        ({"hidden_size": 6.0}, "hidden_size is '6.0'"),
        ({"num_layers": True}, "num_layers is 'True'"),
        ({"dtype": "object"}, "dtype is 'object'; legal: float32 | float64"),
        ({"dtype": ["float64"]}, "dtype is"),
        ({"dtype": "float32"}, "dtype float64, the metadata say float32"),
        ({"vocabulary": 5}, "vocabulary is '5'"),
        ({"vocabulary": ""}, "no characters"),
        ({"vocabulary": "abab"}, "'a' occurs again at index 2"),
        ({"vocabulary": "ab"}, r"'embedding.weight': shape \(8, 1\), expected \(2, 1\)"),
        ({"hidden_size": 7}, "shape .* expected"),
        ({"cell": "lstm"}, r"'rnn.weight_ih_l0': shape \(18, 1\), expected \(24, 1\)"),
        ({"num_layers": 2}, "array 'rnn.weight_ih_l1' is missing"),
        ({"num_layers": 10**12}, "array 'rnn.weight_ih_l1' is missing"),
        ({"hidden_size": 10**12}, "expected"),
    ],
)
def test_wrong_metadata_are_refused(saved, changes, message):
    with_metadata(saved, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(saved)


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[1]", b"null", b"[" * 100_000])
def test_broken_json_is_refused(saved, raw):
    rewritten(saved, metadata__json=raw)
    with pytest.raises(CheckpointError, match=r"metadata\.json"):
        load(saved)


class Exploding:
    """Unpickling this writes to standard output and fails the test."""

    def __reduce__(self):
        return (pytest.fail, ("a file was unpickled",))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (None, "array 'linear.bias' is missing"),
        (npy(np.zeros(9)), r"shape \(9,\), expected \(8,\)"),
        (npy(np.zeros((8, 1))), r"shape \(8, 1\), expected \(8,\)"),
        (npy(np.zeros(8, np.float32)), "dtype float32, the metadata say float64"),
        (npy(np.zeros(8, ">f8")), "dtype >f8 is not allowed"),
        (npy(np.zeros(8, np.complex128)), "dtype complex128 is not allowed"),
        (npy(np.zeros(8, np.int64)), "dtype int64 is not allowed"),
        (npy(np.array([Exploding()] * 8), allow_pickle=True), "dtype object is not allowed"),
        (npy(np.zeros(8), version=(2, 0)), r"version is not 1\.0"),
        (npy(np.zeros(8)) + b"tail", "does not account for its 68 bytes"),
        (npy(np.zeros(8))[:-1], "does not account for its 63 bytes"),
        (npy(np.zeros(8))[:30], "damaged header"),
        (npy(np.array([np.nan] * 8)), "holds inf or nan"),
        (npy(np.array([np.inf] * 8)), "holds inf or nan"),
        (b"", "damaged header"),
        (b"cos\nsystem\n(S'true'\ntR.", "damaged header"),
    ],
)
def test_wrong_arrays_are_refused(saved, array, message):
    rewritten(saved, linear__bias__npy=array)
    with pytest.raises(CheckpointError, match=message):
        load(saved)


@pytest.mark.parametrize(
    "shape", ["(1000000000000,)", "(-8,)", "(nan,)", "('8',)", "(8.0,)", "(8", "(2**40, 2**40)"]
)
def test_a_lying_header_allocates_nothing(saved, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    raw = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(64)
    rewritten(saved, linear__bias__npy=raw)
    with pytest.raises(CheckpointError, match=r"linear\.bias"):
        load(saved)


def test_fortran_order_is_read_as_numpy_does(saved):
    original = load(saved).state_dict()["linear.weight"]
    rewritten(saved, linear__weight__npy=npy(np.asfortranarray(original)))
    np.testing.assert_array_equal(load(saved).state_dict()["linear.weight"], original)


@pytest.mark.parametrize("name", ["../../evil.npy", "extra.npy", "linear.bias.npy.npy"])
def test_additional_arrays_are_refused(saved, name):
    content = members(saved) | {name: npy(np.zeros(8))}
    write(saved, content)
    with pytest.raises(CheckpointError, match="unknown array"):
        load(saved)
    assert not (saved.parent.parent / "evil.npy").exists()


def test_other_members_are_refused(saved):
    write(saved, members(saved) | {"run.py": b"print('no')"})
    with pytest.raises(CheckpointError, match=r"unknown member 'run\.py'"):
        load(saved)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_given_twice_is_refused(saved):
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("linear.bias.npy", npy(np.ones(8)))
    with pytest.raises(CheckpointError, match="occurs more than once"):
        load(saved)


def test_compressed_members_are_refused_before_they_are_read(saved):
    bomb = npy(np.zeros(8)) + bytes(200 << 20)
    rewritten(saved, zipfile.ZIP_DEFLATED, linear__bias__npy=bomb)
    assert saved.stat().st_size < 1 << 20
    with pytest.raises(CheckpointError, match="is compressed"):
        load(saved)


def test_one_changed_bit_is_noticed(saved):
    raw = bytearray(saved.read_bytes())
    raw[raw.index(b"\x93NUMPY") + 150] ^= 1
    saved.write_bytes(raw)
    with pytest.raises(CheckpointError, match="damaged archive: Bad CRC"):
        load(saved)


with io.BytesIO() as _stream:
    checkpoint._write(
        _stream, {"format": checkpoint.FORMAT, "version": 1, "kind": "CharModel"}, {"a": np.zeros(3)}
    )
    SMALL = _stream.getvalue()


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_mutated_files_raise_nothing_else(changes):
    """Whatever the bytes, reading ends in a result or in a CheckpointError."""
    raw = bytearray(SMALL)
    for place, byte in changes:
        raw[place] = byte
    try:
        metadata, arrays = checkpoint._read(io.BytesIO(raw))
        checkpoint._build(metadata, arrays)
    except CheckpointError:
        pass


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(saved, model(seed=1))
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_file_is_complete_before_it_takes_the_name(saved, monkeypatch):
    before, replace, order = saved.read_bytes(), os.replace, []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("fsync"), sync(descriptor))[1])

    def checked(source, target):
        assert saved.read_bytes() == before
        assert os.path.dirname(source) == os.path.dirname(target)
        load(source)
        order.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "replace", checked)
    save(saved, model(seed=1))
    assert saved.read_bytes() != before
    assert order == (["fsync", "replace", "fsync"] if os.name == "posix" else ["fsync", "replace"])
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes and links")
def test_permissions_and_links_survive(saved):
    saved.chmod(0o640)
    link = saved.parent / "link.npz"
    link.symlink_to(saved)
    save(link, model(seed=1))
    assert link.is_symlink()
    assert stat.S_IMODE(saved.stat().st_mode) == 0o640
    assert load(link).state_dict().keys() == model().state_dict().keys()
    mask = os.umask(0o027)
    try:
        save(saved.parent / "fresh.npz", model())
    finally:
        os.umask(mask)
    assert stat.S_IMODE((saved.parent / "fresh.npz").stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_writer_leaves_a_whole_file(saved):
    """Killed at any point while it saves two models in turn, one of the two is there."""
    code = (
        "import sys, numpy as np\n"
        "from tinygrad_rnn.train import CharModel, Vocabulary, save\n"
        "models = [CharModel(Vocabulary('ab'), 'gru', 64, rng=np.random.default_rng(k)) for k in range(2)]\n"
        "print('saving', flush=True)\n"
        "while True:\n"
        "    for model in models: save(sys.argv[1], model)\n"
    )
    expected = [
        CharModel(Vocabulary("ab"), "gru", 64, rng=np.random.default_rng(k)).state_dict() for k in range(2)
    ]
    rng = np.random.default_rng(0)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", code, str(saved)], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(0.02 + 0.05 * rng.random())
            process.kill()
        found = load(saved).state_dict()
        assert any(all(np.array_equal(found[name], state[name]) for name in state) for state in expected)


def test_saving_into_a_missing_folder_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "missing" / "m.npz", model())
