"""Files that are not .npz: CSV, the idx files of MNIST, CIFAR-10's archives; hostile ones are refused with the reason."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import tracemalloc

import numpy as np
import pytest

from engine.datasets import DatasetError, base, cifar, csv_file, dataset_names, load_dataset
from engine.spec import TaskSpec
from engine.task_building import build_tasks


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path))
    return tmp_path


def refusal(name):
    with pytest.raises(DatasetError) as caught:
        load_dataset(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_data_folder_follows_the_instance(monkeypatch, tmp_path):
    monkeypatch.delenv("ABOVO_DATA", raising=False)
    monkeypatch.setenv("ABOVO_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pets.csv").write_text("1,cat\n2,dog\n")
    assert "pets" in dataset_names()


# --- CSV ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "weight,height,pet\n1,2.5,cat\n3,4,dog\n5,6,cat\n",
        "1,2.5,cat\n3,4,dog\n5,6,cat",
        "\ufeff1;2.5;cat\r\n3;4;dog\r\n\r\n5;6;cat\r\n",
        '"1"\t2.5\t"cat"\n3\t4\tdog\n5\t6\t cat \n',
    ],
)
def test_csv_of_classes(folder, text):
    (folder / "pets.csv").write_text(text, encoding="utf-8")
    data = load_dataset("pets")
    assert data.features.tolist() == [[1, 2.5], [3, 4], [5, 6]]
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [0, 1, 0]
    assert data.image_shape is None and data.targets is None


def test_csv_of_whole_numbers_and_of_numbers(folder):
    (folder / "whole.csv").write_text("0.5,7\n1.5,-2\n2.5,7\n")
    assert (load_dataset("whole").class_names, load_dataset("whole").labels.tolist()) == (("-2", "7"), [1, 0, 1])
    (folder / "numbers.csv").write_text("0.5,7.5\n1.5,-2\n2.5,1e3\n")
    data = load_dataset("numbers")
    assert data.targets.tolist() == [7.5, -2, 1000]
    assert data.class_names == () and not len(data.labels)


def test_csv_makes_tasks(folder):
    rows = "".join(f"{n},{n * 7 % 13},{'small' if n < 50 else 'large'}\n" for n in range(100))
    (folder / "sizes.csv").write_text(rows)
    spec = TaskSpec(kind="projected", dataset="sizes", count=2, train_examples=60, valid_examples=40)
    assert build_tasks(spec, seed=0, role="search")[0].name.startswith("sizes large vs small")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("a,b\n", "no rows"),
        ("1\n2\n", "line 1 has one column; a feature and the label are needed"),
        ("1,2,a\n3,b\n", "line 2 has 2 columns, the first line 3"),
        ("1,2,a\n3,x,b\n", "line 2, column 2: 'x' is not allowed, finite numbers are"),
        ("1,2,a\n3,,b\n", "line 2, column 2: '' is not allowed"),
        ("1,2,a\n3,nan,b\n", "line 2, column 2: 'nan' is not allowed"),
        ("1,2,a\n3,1e999,b\n", "line 2, column 2: '1e999' is not allowed"),
        ("1,2,a\n3,1_0,b\n", "line 2, column 2: '1_0' is not allowed"),
        ("1,2,a\n3,4,\n", "line 2: the last column, the label, is empty"),
        ("1,2,a\n3,4,a\n", "y_train has one class only (0)"),
        ("1,2.5\n3,2.5\n", "all targets are 2.5, nothing can be learned"),
        ("1,2\n3,nan\n", "the last column holds NaN or infinity"),
        ('1,"2\n3,4', "not a readable CSV file of UTF-8 text"),
        ("1,2,a\n3,4,b\n".encode("utf-16"), "not a readable CSV file of UTF-8 text"),
        ("".join(f"1,c{n}\n" for n in range(1001)), "1,001 classes, allowed are up to 1,000"),
        ("1," * 100_001 + "a\n", "100,001 features a row, allowed are up to 100,000"),
        (b"\x1f\x8b\x08\x00" + bytes(range(256)), "not a readable CSV file"),
    ],
)
def test_csv_refusals(folder, text, message):
    (folder / "pets.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    assert refusal("pets").startswith(f"dataset pets: {message}")


def test_large_csv_is_not_read(folder):
    with open(folder / "pets.csv", "wb") as stream:
        stream.truncate(csv_file.MAX_CSV_BYTES + 1)
    assert "the file has 268,435,457 bytes, allowed for CSV are up to 268,435,456" in refusal("pets")


def test_what_is_no_regular_file_is_not_opened(folder):
    os.mkfifo(folder / "pets.csv")
    assert refusal("pets") == "dataset pets: pets.csv is not a regular file"


# --- idx ----------------------------------------------------------------------------------------------------------------

IMAGES = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.uint8)
IDX_FILES = {
    "train-images-idx3-ubyte": IMAGES, "train-labels-idx1-ubyte": LABELS,
    "t10k-images-idx3-ubyte": IMAGES[:3] + 100, "t10k-labels-idx1-ubyte": LABELS[:3],
}  # fmt: skip


def idx_bytes(values):
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def save_idx(folder, name="mnist", *, packed=True, **changed):
    (folder / name).mkdir()
    for file, values in IDX_FILES.items():
        data = changed.get(file.split("-idx")[0].replace("-", "_"), idx_bytes(values))
        (folder / name / (f"{file}.gz" if packed else file)).write_bytes(gzip.compress(data) if packed else data)


@pytest.mark.parametrize("packed", [True, False])
def test_idx(folder, packed):
    save_idx(folder, packed=packed)
    data = load_dataset("mnist")
    assert np.array_equal(data.features, IMAGES.reshape(6, 4))
    assert np.array_equal(data.test_features, IMAGES[:3].reshape(3, 4) + 100)
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2] and data.test_labels.tolist() == [0, 1, 2]
    assert data.class_names == ("0", "1", "2") and data.image_shape == (2, 2)
    assert "mnist" in dataset_names()


def test_fashion_mnist_has_names(folder):
    ten = np.arange(10, dtype=np.uint8)
    images = np.repeat(IMAGES[:2], 5, 0)
    save_idx(folder, "fashion_mnist", train_images=idx_bytes(images), train_labels=idx_bytes(ten))
    assert load_dataset("fashion_mnist").class_names[::9] == ("T-shirt/top", "Ankle boot")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_images": b"\x00\x00\x0d\x03" + bytes(12)}, "train-images-idx3-ubyte.gz is not an idx file of bytes in 3"),
        ({"train_labels": b""}, "train-labels-idx1-ubyte.gz is not an idx file of bytes in 1 dimension"),
        ({"train_images": idx_bytes(IMAGES)[:-1]}, "train-images-idx3-ubyte.gz says it has shape (6, 2, 2) but holds less"),
        ({"train_images": idx_bytes(IMAGES) + b"x"}, "train-images-idx3-ubyte.gz says it has shape (6, 2, 2) but holds more"),
        ({"train_labels": idx_bytes(LABELS[:5])}, "x_train has 6 rows, y_train 5"),
        (
            {"train_images": b"\0\0\x08\x03" + struct.pack(">3I", 60000, 2**31, 2**31)},
            "train-images-idx3-ubyte.gz has shape (60000, 2147483648, 2147483648): 276,701,161,105,643,274,240,000 bytes",
        ),
    ],
)  # fmt: skip
def test_idx_refusals(folder, changed, message):
    save_idx(folder, **changed)
    assert message in refusal("mnist")


def test_damaged_gzip(folder):
    save_idx(folder)
    path = folder / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-12])
    assert "train-images-idx3-ubyte.gz cannot be read" in refusal("mnist")


def test_idx_bombs_take_little_memory(folder):
    header = b"\0\0\x08\x03" + struct.pack(">3I", 1000, 1000, 1000)
    save_idx(folder, train_images=header)
    (folder / "mnist" / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(IMAGES) + bytes(50_000_000)))
    tracemalloc.start()
    refusal("mnist")
    save_idx(folder, "other")
    (folder / "other" / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(IMAGES) + bytes(50_000_000)))
    tracemalloc.clear_traces()
    assert "holds more" in refusal("other")
    assert tracemalloc.get_traced_memory()[1] < 60_000_000  # the compressor's input is part of it
    tracemalloc.stop()


def test_without_one_of_the_four_files_it_is_not_there(folder):
    save_idx(folder)
    (folder / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert refusal("mnist").startswith(
        "dataset: mnist is not there; fetch it with `python manage.py fetch_dataset mnist`"
    )


# --- CIFAR-10 -----------------------------------------------------------------------------------------------------------

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def pixels(batch):
    """Return ten rows of three planes: red 10 times the batch's number, green the class, blue counting."""
    planes = np.zeros((10, 3, 1024), np.uint8)
    planes[:, 0] = 10 * BATCHES.index(batch)
    planes[:, 1] = np.arange(10)[:, None]
    planes[:, 2] = np.arange(1024) % 256
    return planes.reshape(10, 3072)


def python_2_pickle(value):
    """Return a pickle as Python 2 wrote those of the archive: texts are strings of bytes."""

    def body(one):
        if isinstance(one, bytes):
            return b"T" + struct.pack("<i", len(one)) + one
        if isinstance(one, int):
            return b"K" + bytes([one])
        if isinstance(one, list):
            return b"](" + b"".join(map(body, one)) + b"e"
        if isinstance(one, dict):
            return b"}(" + b"".join(body(key) + body(item) for key, item in one.items()) + b"u"
        shape = b"".join(b"M" + struct.pack("<H", length) for length in one.shape) + b"\x86"
        kind = (
            b"cnumpy\ndtype\nU\x02"
            + one.dtype.str[1:].encode()
            + b"K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        return start + b"(K\x01" + shape + kind + b"\x89" + body(one.tobytes()) + b"tb"

    return b"\x80\x02" + body(value) + b"."


def test_that_pickle_is_one():
    value = {b"data": IMAGES.reshape(6, 4), b"labels": [1, 2]}
    loaded = pickle.loads(python_2_pickle(value), encoding="bytes")  # noqa: S301 - our own
    assert np.array_equal(loaded[b"data"], value[b"data"]) and loaded[b"labels"] == [1, 2]


def python_members(**changed):
    members = {}
    for batch in BATCHES:
        content = {
            b"data": pixels(batch),
            b"labels": list(range(10)),
            b"batch_label": batch.encode(),
            b"filenames": [b"x.png"] * 10,
        }
        members[f"cifar-10-batches-py/{batch}"] = python_2_pickle(content)
    members["cifar-10-batches-py/batches.meta"] = python_2_pickle({b"label_names": [one.encode() for one in NAMES]})
    return members | {f"cifar-10-batches-py/{batch}": data for batch, data in changed.items()}


def binary_members():
    rows = {batch: np.hstack([np.arange(10, dtype=np.uint8)[:, None], pixels(batch)]) for batch in BATCHES}
    members = {f"cifar-10-batches-bin/{batch}.bin": data.tobytes() for batch, data in rows.items()}
    return members | {"cifar-10-batches-bin/batches.meta.txt": ("\n".join(NAMES) + "\n\n").encode()}


def save_archive(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize(
    ("archive", "members"),
    [("cifar-10-python.tar.gz", python_members), ("cifar-10-binary.tar.gz", binary_members)],
)
@pytest.mark.parametrize("place", [".", "cifar10"])
def test_cifar10(folder, archive, members, place):
    (folder / place).mkdir(exist_ok=True)
    save_archive(folder / place / archive, members())
    data = load_dataset("cifar10")
    assert data.features.shape == (50, 3072) and data.test_features.shape == (10, 3072)
    assert data.class_names == tuple(NAMES) and data.image_shape == (32, 32, 3)
    assert data.labels.tolist() == list(range(10)) * 5
    pictures = data.features.reshape(50, 32, 32, 3)
    assert pictures[13, 5, 7].tolist() == [10, 3, (5 * 32 + 7) % 256]
    assert data.test_features.reshape(10, 32, 32, 3)[4, 0, 0].tolist() == [50, 4, 0]
    assert "cifar10" in dataset_names()


class Evil:
    def __reduce__(self):
        return os.mkdir, ("it-was-run",)


def opcode_flood():
    return b"\x80\x02" + b"}" * 300_000 + b"."


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (pickle.dumps(Evil(), protocol=2), "cannot be read (refers to posix.mkdir, which is never loaded)"),
        (pickle.dumps(np.float64(1.0), protocol=2), "which is never loaded"),
        (b"cos\nsystem\n(S'true'\ntR.", "cannot be read (refers to os.system, which is never loaded)"),
        (b"\x80\x02cnumpy\nload\n.", "cannot be read (refers to numpy.load, which is never loaded)"),
        (b"\x80\x02cnumpy\nndarray.__class__\n.", "which is never loaded"),
        (python_2_pickle([1]), "holds no table"),
        (python_2_pickle({b"data": b"x" * 3072, b"labels": [1]}), "has no array data of rows of 3,072 bytes"),
        (python_2_pickle({b"data": np.zeros((1, 3072)), b"labels": [1]}), "has no array data of rows"),
        (python_2_pickle({b"data": pixels("test_batch"), b"labels": [1]}), "has 10 rows, 1 labels"),
        (python_2_pickle({b"data": pixels("test_batch"), b"labels": [10] * 10}), "no list labels of whole numbers from 0 to 9"),
        (opcode_flood(), "is no batch: more than 200,000 steps to load"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "is no batch: more than 200,000 steps to load"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b".", "cannot be read"),
        (b"", "cannot be read"),
        (b"\x80\x02}", "cannot be read"),
    ],
)  # fmt: skip
def test_hostile_pickles(folder, monkeypatch, batch, message):
    monkeypatch.chdir(folder)
    save_archive(folder / "cifar-10-python.tar.gz", python_members(data_batch_3=batch))
    text = refusal("cifar10")
    assert text.startswith("dataset cifar10: data_batch_3 ") and message in text
    assert not (folder / "it-was-run").exists()


def test_a_pickle_cannot_change_how_the_next_is_read(folder):
    """BUILD sets attributes of what a name refers to: of a stand-in that is thrown away."""
    change = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nN}U\x07contentU\x04evils\x86b."
    save_archive(folder / "cifar-10-python.tar.gz", python_members(data_batch_1=change))
    refusal("cifar10")
    save_archive(folder / "cifar-10-python.tar.gz", python_members())
    assert load_dataset("cifar10").features.shape == (50, 3072)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cifar-10-batches-bin/data_batch_2.bin": b"x" * 3072}, "data_batch_2 has 3,072 bytes, expected records of 3,073"),
        ({"cifar-10-batches-bin/data_batch_2.bin": b"\x0b" * 3073}, "data_batch_2 has the label 11, allowed are 0 to 9"),
        ({"cifar-10-batches-bin/data_batch_2.bin": None}, "cifar-10-binary.tar.gz has no member data_batch_2"),
        ({"cifar-10-batches-bin/batches.meta.txt": b"\xff\xfe"}, "batches.meta is not text"),
    ],
)  # fmt: skip
def test_cifar10_refusals(folder, change, message):
    members = {name: data for name, data in (binary_members() | change).items() if data is not None}
    save_archive(folder / "cifar-10-binary.tar.gz", members)
    assert message in refusal("cifar10")


def test_archives_that_unpack_to_too_much(folder, monkeypatch):
    monkeypatch.setattr(cifar, "_UNPACKED", 1 << 20)
    save_archive(folder / "cifar-10-binary.tar.gz", {"filler": bytes(2 << 20)} | binary_members())
    assert refusal("cifar10") == "dataset cifar10: unpacks to more than the 1,048,576 bytes that are allowed"
    monkeypatch.setattr(cifar, "_MEMBER", 10_000)
    save_archive(folder / "cifar-10-binary.tar.gz", binary_members())
    assert "data_batch_1 has 30,730 bytes, allowed are up to 10,000" in refusal("cifar10")


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no archive" * 100)])
def test_what_is_no_archive(folder, content):
    (folder / "cifar-10-binary.tar.gz").write_bytes(content)
    assert "cifar-10-binary.tar.gz" in refusal("cifar10")


def test_links_in_an_archive_are_not_followed(folder):
    members = binary_members()
    del members["cifar-10-batches-bin/data_batch_1.bin"]
    save_archive(folder / "cifar-10-binary.tar.gz", members)
    with tarfile.open(folder / "cifar-10-binary.tar", "w") as archive:
        link = tarfile.TarInfo("data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    (folder / "cifar-10-binary.tar.gz").write_bytes(gzip.compress((folder / "cifar-10-binary.tar").read_bytes()))
    assert "has no member data_batch_1" in refusal("cifar10")


def test_too_large_a_file_is_not_opened(folder):
    with open(folder / "cifar-10-binary.tar.gz", "wb") as stream:
        stream.truncate(base.MAX_BYTES + 1)
    assert "the file has 1,073,741,825 bytes" in refusal("cifar10")
