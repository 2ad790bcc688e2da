"""Datasets: the bundled ones, files of the data folder, and hostile files, which are refused with the reason."""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from engine import datasets
from engine.datasets import DatasetError, base, dataset_names, load_dataset
from engine.spec import TaskSpec
from engine.task_building import build_tasks


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1797, 64), 10),
        ("breast_cancer", (569, 30), 2),
        ("wine", (178, 13), 3),
        ("iris", (150, 4), 3),
    ],
)
def test_bundled(name, shape, classes):
    data = load_dataset(name)
    assert data.features.shape == shape
    assert len(data.class_names) == classes
    assert sorted(set(data.labels)) == list(range(classes))
    assert data.image_shape == ((8, 8) if name == "digits" else None)


def test_file_with_test_split_and_names(folder):
    save(folder, x_test=X[:4], y_test=Y[:4], class_names=np.array(["cat", "dog"]), extra=np.array([None]))
    data = load_dataset("pets")
    assert data.class_names == ("cat", "dog")
    assert data.image_shape == (2, 2)
    assert data.features.dtype == np.uint8
    assert data.features.shape == (20, 4)
    assert data.test_labels.tolist() == [0, 1, 0, 1]
    assert dataset_names() == ("digits", "breast_cancer", "wine", "iris", "diabetes", "pets")


def test_class_numbers_become_positions(folder):
    save(folder, y_train=Y * 5 - 3)
    data = load_dataset("pets")
    assert data.class_names == ("-3", "2")
    assert set(data.labels) == {0, 1}


def test_final_tasks_validate_on_the_test_split(folder):
    rows = np.arange(400, dtype=np.float64).reshape(100, 2, 2)
    labels = np.arange(100) % 2
    save(folder, x_train=rows, y_train=labels, x_test=rows + 1e6, y_test=labels)
    spec = TaskSpec(kind="projected", dataset="pets", count=1, features=4, train_examples=60, valid_examples=40)
    (search,) = build_tasks(spec, seed=0, role="search")
    (final,) = build_tasks(spec, seed=0, role="final")
    assert np.abs(search.valid_features).max() < 10
    assert np.abs(final.valid_features).min() > 100


def test_constant_columns_become_zero(folder):
    rows = np.ones((100, 3))
    rows[:, 1] = np.arange(100) / 7
    save(folder, x_train=rows, y_train=np.arange(100) % 2)
    spec = TaskSpec(
        kind="projected", dataset="pets", count=1, features=4, train_examples=60, valid_examples=40, pairs=((0, 1),)
    )
    (task,) = build_tasks(spec, seed=0, role="search")
    assert np.isfinite(task.train_features).all()
    # Constant in the rows of the task, that is: a data set that is constant altogether is refused.
    save(folder, x_train=np.repeat([[1 / 3] * 3, [2.0] * 3], [100, 2], 0), y_train=np.r_[np.arange(100) % 2, 2, 2])
    (task,) = build_tasks(spec, seed=0, role="search")
    assert not task.train_features.any()
    assert not task.valid_features.any()


X = np.arange(80, dtype=np.uint8).reshape(20, 2, 2)
Y = np.arange(20) % 2
FLOATS = X.astype(np.float64)
WITH_NAN = np.where(FLOATS == 5, np.nan, FLOATS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": WITH_NAN}, r"x_train\[1, 1\] is nan, finite numbers up to 1e\+100 are allowed"),
        ({"x_train": FLOATS * 1e300}, r"x_train\[0, 1\] is 1e\+300, finite numbers up to 1e\+100 are allowed"),
        ({"x_train": np.ones((20, 3))}, "all rows of x_train are the same, nothing can be learned"),
        ({"x_train": np.full((20, 2), np.inf)}, r"x_train\[0, 0\] is inf"),
        ({"x_train": np.array([["a"] * 3] * 20)}, "x_train holds text"),
        ({"x_train": X.astype(object)}, "x_train is an array of Python objects, which is never loaded"),
        ({"x_train": X * 1j}, "x_train holds complex numbers"),
        ({"x_train": np.arange(20)}, r"x_train has shape \(20,\), expected rows"),
        ({"x_train": np.zeros((20, 0))}, r"x_train has shape \(20, 0\)"),
        ({"y_train": np.zeros(20, int)}, r"y_train has one class only \(0\), at least two are needed"),
        ({"y_train": Y[:19]}, "x_train has 20 rows, y_train 19"),
        ({"y_train": Y + 0.5}, "y_train holds numbers that are not whole"),
        ({"y_train": np.array(["a", "b"] * 10)}, "y_train holds text, class numbers are allowed"),
        ({"y_train": None}, "no array y_train; x_train and y_train are needed"),
        ({"x_test": X}, "x_test and y_test belong together"),
        ({"x_test": X[:, :1], "y_test": Y}, "x_test has 2 features a row, x_train 4"),
        ({"x_test": X, "y_test": Y + 1}, "y_test has a class that y_train has not: 2"),
        ({"class_names": np.array(["a"])}, "1 class_names, but y_train has 2 classes"),
        (
            {"y_train": np.arange(20) + np.zeros((20, 2), int).T[0], "class_names": np.array(["a"])},
            "1 class_names",
        ),
    ],
)
def test_refuses(folder, arrays, message):
    save(folder, **arrays)
    with pytest.raises(DatasetError, match=message) as caught:
        load_dataset("pets")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../pets", "", ".hidden", "a/b", "a" * 200, "pets\n"])
def test_refuses_names_that_are_no_names(folder, name):
    with pytest.raises(DatasetError, match=r"dataset: .* is not a name"):
        load_dataset(name)


def test_refuses_what_is_no_archive(folder):
    (folder / "pets.npz").write_bytes(b"PK\x03\x04 nothing of the kind")
    with pytest.raises(DatasetError, match=r"dataset pets: not a readable \.npz file"):
        load_dataset("pets")


def test_refuses_damaged_data(folder):
    with zipfile.ZipFile(folder / "pets.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", header((100, 10)) + np.random.default_rng(0).bytes(8000))
    data = bytearray((folder / "pets.npz").read_bytes())
    data[200:300] = bytes(100)
    (folder / "pets.npz").write_bytes(data)
    with pytest.raises(DatasetError, match=r"not a readable \.npz file"):
        load_dataset("pets")


def test_refuses_large_files_without_reading_them(folder):
    with open(folder / "pets.npz", "wb") as stream:
        stream.truncate(2 * 1024**3)  # sparse
    with pytest.raises(DatasetError, match="the file has 2,147,483,648 bytes, allowed are up to 1,073,741,824"):
        load_dataset("pets")


def test_refuses_a_zip_bomb_without_unpacking_it(folder, monkeypatch):
    monkeypatch.setattr(base, "MAX_BYTES", 1 << 25)
    with zipfile.ZipFile(folder / "pets.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", header((5_000, 1000)) + bytes(40_000_000))
    assert (folder / "pets.npz").stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(DatasetError, match="x_train takes 40,000,128 bytes, allowed are up to 33,554,432"):
        load_dataset("pets")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_refuses_a_header_that_promises_more_than_there_is(folder):
    with zipfile.ZipFile(folder / "pets.npz", "w") as archive:
        archive.writestr("x_train.npy", header((1000, 1000)) + bytes(10))
    with pytest.raises(DatasetError, match=r"x_train says it has shape \(1000, 1000\) but holds other data"):
        load_dataset("pets")


def test_refuses_a_negative_shape(folder):
    with zipfile.ZipFile(folder / "pets.npz", "w") as archive:
        archive.writestr("x_train.npy", header((-1, -1000)) + bytes(8000))
    with pytest.raises(DatasetError):
        load_dataset("pets")


def test_importing_does_not_import_scikit_learn():
    assert "sklearn" not in vars(datasets)


def save(folder, **arrays):
    arrays = {"x_train": X, "y_train": Y, **arrays}
    np.savez(folder / "pets.npz", **{name: value for name, value in arrays.items() if value is not None})


def header(shape) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue()
