"""Model files: one npz archive of plain arrays with a JSON description, never pickle.

A file is a zip archive of stored (uncompressed) members: `metadata.json` and one `NAME.npy` for each
parameter. `numpy.load` reads it, `unzip -p FILE metadata.json` shows what it is. Nothing in a file is ever
executed or unpickled, and nothing larger than the file is allocated: members are not compressed, each
header's shape must account for exactly the bytes that follow it, and a model is built only after the arrays'
shapes have been compared.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Iterable, Mapping
from typing import IO, Any, NoReturn

import numpy as np

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core.files import replace_file
from tinygrad_rnn.train.charmodel import CELLS, CharModel, parameter_shapes
from tinygrad_rnn.train.text import TextError, Vocabulary

FORMAT = "tinygrad_rnn model"
VERSION = 1
_METADATA = "metadata.json"
_DTYPES = {"float32": "<f4", "float64": "<f8"}
_SIZES = ("hidden_size", "num_layers")
_LARGEST_METADATA = 64 << 20  # bytes; a vocabulary of every code point needs 14 MB in JSON

Arrays = dict[str, np.ndarray[Any, Any]]


class CheckpointError(ValueError):
    """A model file that cannot be read or is not what it says it is."""


def save(path: str | os.PathLike[str], model: CharModel) -> None:
    """Write the model to a file that `load` reads; an existing file is replaced in one step or not at all.

    The bytes depend on the model alone: saving twice gives equal files. An existing file keeps its
    permissions.

    Raises:
        TypeError: the model is not a CharModel.
        OSError: the file cannot be written; an existing file is then unchanged.
    """
    if not isinstance(model, CharModel):
        raise TypeError(
            f"save: the model must be a CharModel, not {type(model).__name__}; "
            "other modules: numpy.savez(path, **module.state_dict())"
        )
    check.path("save: path", path)
    arrays = model.state_dict()
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "kind": "CharModel",
        "cell": model.cell,
        **{size: getattr(model, size) for size in _SIZES},
        "dtype": np.dtype(model.dtype).name,
        "vocabulary": model.vocabulary.characters,
        "parameters": {name: list(array.shape) for name, array in arrays.items()},
    }
    replace_file(path, lambda file: _write(file, metadata, arrays))


def load(path: str | os.PathLike[str]) -> CharModel:
    """Return the model that `save` wrote.

    Raises:
        CheckpointError: the file cannot be opened; is no model file, truncated or damaged; has an unknown
            version or kind; has missing, additional, wrongly shaped, object or non-finite arrays.
    """
    name = check.path("load: path", path)
    try:
        with open(path, "rb") as file:
            metadata, arrays = _read(file)
        return _build(metadata, arrays)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{name}: cannot be read: {error.strerror or error}") from error


def _write(file: IO[bytes], metadata: Mapping[str, Any], arrays: Arrays) -> None:
    """Write the archive: stored members with a fixed date, so that equal models give equal bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        text = json.dumps(metadata, indent=1, allow_nan=False)
        archive.writestr(zipfile.ZipInfo(_METADATA), text.encode("ascii"))
        for name, array in arrays.items():
            member = io.BytesIO()
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())


def _read(file: IO[bytes]) -> tuple[dict[str, Any], Arrays]:
    """Return the metadata and every array of an archive; whatever is wrong becomes a CheckpointError."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(4) != b"PK\x03\x04":
        raise CheckpointError("not a model file (it does not begin as an npz archive does)")
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, size)
            metadata = _metadata(archive.read(_METADATA))
            return metadata, {name: _array(name, archive.read(name + ".npy")) for name in members}
    except CheckpointError:
        raise
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"truncated or damaged archive: {error}") from error


def _members(archive: zipfile.ZipFile, size: int) -> list[str]:
    """Return the names of the arrays; no member is compressed, so together they fit the file's size."""
    names: set[str] = set()
    infos = archive.infolist()
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise CheckpointError(f"member {info.filename!r} is compressed; model files are stored plainly")
        if info.filename in names:
            raise CheckpointError(f"member {info.filename!r} occurs more than once")
        if info.filename != _METADATA and not info.filename.endswith(".npy"):
            raise CheckpointError(f"unknown member {info.filename!r}")
        names.add(info.filename)
    if sum(info.file_size for info in infos) > size:
        raise CheckpointError("members overlap: together they are larger than the file")
    if _METADATA not in names:
        raise CheckpointError(f"not a model file: there is no {_METADATA}")
    if archive.getinfo(_METADATA).file_size > _LARGEST_METADATA:
        raise CheckpointError(f"{_METADATA} is larger than {_LARGEST_METADATA} bytes")
    return [info.filename.removesuffix(".npy") for info in infos if info.filename != _METADATA]


def _metadata(raw: bytes) -> dict[str, Any]:
    """Return the JSON description, its format, version and kind checked."""
    try:
        metadata = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{_METADATA} is not JSON: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise CheckpointError(f"not a model file: {_METADATA} has no format {FORMAT!r}")
    if type(metadata.get("version")) is not int or metadata["version"] != VERSION:
        raise CheckpointError(
            f"format version {metadata.get('version')!r} is unknown; this program reads version {VERSION}"
        )
    if metadata.get("kind") != "CharModel":
        raise CheckpointError(f"kind {metadata.get('kind')!r} is unknown; legal: 'CharModel'")
    return metadata


def _array(name: str, raw: bytes) -> np.ndarray[Any, Any]:
    """Return one array of a .npy member, its header believed only as far as the bytes bear it out."""
    stream = io.BytesIO(raw)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise CheckpointError(f"array {name!r}: its .npy version is not 1.0")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    except CheckpointError:
        raise
    except Exception as error:  # a header is foreign text: whatever its parser says, the file is damaged
        raise CheckpointError(f"array {name!r}: damaged header: {error}") from error
    if dtype.str not in _DTYPES.values():
        raise CheckpointError(f"array {name!r}: dtype {dtype} is not allowed; legal: float32, float64")
    data = raw[stream.tell() :]
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(data):
        raise CheckpointError(f"array {name!r}: shape {shape} does not account for its {len(data)} bytes")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    if not np.isfinite(array).all():
        raise CheckpointError(f"array {name!r} holds inf or nan")
    return array


def _build(metadata: Mapping[str, Any], arrays: Arrays) -> CharModel:
    """Return the model that the metadata describes, filled with the arrays."""
    vocabulary, dtype = _described(metadata)
    cell, hidden_size, num_layers = metadata["cell"], metadata["hidden_size"], metadata["num_layers"]
    _compare_shapes(arrays, parameter_shapes(len(vocabulary), cell, hidden_size, num_layers))
    for name, array in arrays.items():
        if array.dtype.str != _DTYPES[dtype]:
            raise CheckpointError(f"array {name!r}: dtype {array.dtype}, the metadata say {dtype}")
    rng = np.random.default_rng(0)  # every number it draws is overwritten in the next line
    model = CharModel(vocabulary, cell, hidden_size, num_layers, dtype=np.dtype(dtype), rng=rng)
    model.load_state_dict(arrays)
    return model


def _described(metadata: Mapping[str, Any]) -> tuple[Vocabulary, str]:
    """Return the vocabulary and dtype of checked metadata."""
    if metadata.get("cell") not in CELLS:
        _wrong(metadata, "cell", " | ".join(CELLS))
    for name in _SIZES:
        if type(metadata.get(name)) is not int or metadata[name] < 1:
            _wrong(metadata, name, "integers from 1")
    if metadata.get("dtype") not in tuple(_DTYPES):
        _wrong(metadata, "dtype", " | ".join(_DTYPES))
    if not isinstance(metadata.get("vocabulary"), str):
        _wrong(metadata, "vocabulary", "a string of distinct characters")
    try:
        return Vocabulary(metadata["vocabulary"]), metadata["dtype"]
    except TextError as error:
        raise CheckpointError(f"{_METADATA}: {error}") from error


def _wrong(metadata: Mapping[str, Any], name: str, legal: str) -> NoReturn:
    """Raise the error of a metadata entry."""
    raise CheckpointError(f"{_METADATA}: {name} is {str(metadata.get(name))[:60]!r}; legal: {legal}")


def _compare_shapes(arrays: Arrays, expected: Iterable[tuple[str, tuple[int, ...]]]) -> None:
    """Raise a CheckpointError unless the arrays have exactly the expected names and shapes.

    The expected ones are asked for one by one: a file that claims 10**9 layers fails at the first missing
    array.
    """
    names = set()
    for name, shape in expected:
        names.add(name)
        if name not in arrays:
            raise CheckpointError(f"array {name!r} is missing")
        if arrays[name].shape != shape:
            raise CheckpointError(f"array {name!r}: shape {arrays[name].shape}, expected {shape}")
    for name in arrays:
        if name not in names:
            raise CheckpointError(f"unknown array {name!r}")
