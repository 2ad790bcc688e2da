"""Data sets: taken in, checked, refused with reasons, shown, used, deleted; hostile names and files."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile

from engine.datasets import data_folder, dataset_names, load_dataset
from engine.spec import SearchSpec, SpecError
from webapp.experiments import data_facts
from webapp.experiments.models import Dataset
from webapp.experiments.services import datasets
from webapp.experiments.services.datasets import UploadError, check_dataset, receive_upload
from webapp.lib.png import png

pytestmark = pytest.mark.django_db
CSV = b"length,width,species\n" + b"".join(b"%d.5,%d,%s\n" % (n, n % 7, b"ab"[n % 2 :][:1]) for n in range(60))


@pytest.fixture(autouse=True)
def storage(tmp_path, monkeypatch, settings):
    """A data folder of the test's own, which is the storage's, too."""
    monkeypatch.setenv("ABOVO_DATA", str(tmp_path))
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


def csv(content=CSV, name="flowers.csv"):
    return [SimpleUploadedFile(name, content)]


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return [SimpleUploadedFile("x.npz", file.getvalue())]


def idx(count, shape, seed):
    values = np.random.default_rng(seed).integers(0, 256 if shape else 2, (count, *shape), dtype=np.uint8)
    header = bytes([0, 0, 8, 1 + len(shape)]) + struct.pack(f">{1 + len(shape)}I", count, *shape)
    return gzip.compress(header + values.tobytes())


def taken(files, owner, name="mine", **values):
    dataset = receive_upload(owner=owner, name=name, files=files, **values)
    check_dataset(dataset_id=dataset.pk)
    dataset.refresh_from_db()
    return dataset


def test_a_csv_file_becomes_a_data_set(owner, storage):
    dataset = taken(csv(), owner, title=" Flowers ")
    assert (dataset.state, dataset.title, dataset.visibility) == ("ready", "Flowers", "private")
    assert dataset.facts["rows"] == 60 and dataset.facts["classes"] == [["a", 30], ["b", 30]]
    assert dataset.facts["preview"][0] == ["0.5", "0", "a"]
    assert (storage / "uploads" / "mine.csv").read_bytes() == CSV
    assert load_dataset("mine").columns == 2
    assert "mine" not in dataset_names()  # nobody learns of it by a list


def test_pictures_are_shown(owner):
    x = np.random.default_rng(1).integers(0, 256, (40, 6, 5), dtype=np.uint8)
    dataset = taken(npz(x_train=x, y_train=np.arange(40) % 4), owner)
    assert dataset.state == "ready" and dataset.facts["image_shape"] == [6, 5]
    assert len(dataset.facts["samples"]) == 12
    assert dataset.facts["samples"][0]["src"].startswith("data:image/png;base64,")


def test_four_idx_files(owner):
    shapes = {"train-images-idx3-ubyte": (30, (4, 4)), "train-labels-idx1-ubyte": (30, ())}
    shapes |= {"t10k-images-idx3-ubyte": (10, (4, 4)), "t10k-labels.idx1-ubyte": (10, ())}
    files = [SimpleUploadedFile(f"{name}.gz", idx(*shape, seed=3)) for name, shape in shapes.items()]
    dataset = taken(files, owner)
    assert (dataset.state, dataset.reason) == ("ready", "")
    assert dataset.facts["test_rows"] == 10 and len(dataset.files) == 4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"1,2,a\n1,x,b\n", "line 2, column 2"),
        (b"1,2,a\n3,4,a\n", "one class only"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"1,nan,a\n2,3,b\n", "finite"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_kept(owner, storage, content, reason):
    dataset = taken(csv(content), owner)
    assert dataset.state == "refused" and reason in dataset.reason
    assert not list((storage / "uploads").glob("mine*"))
    assert "mine" not in data_facts.names_for(owner)


def test_a_zip_bomb_is_refused_by_its_header(owner):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x_train.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "<f8", "fortran_order": False, "shape": (1 << 20, 1 << 20)}
        )
        member.write(bytes(1 << 20))
    dataset = taken([SimpleUploadedFile("bomb.npz", file.getvalue())], owner)
    assert dataset.state == "refused" and "allowed are up to" in dataset.reason


@pytest.mark.parametrize(
    ("name", "field"),
    [("../evil", "name"), ("a/b", "name"), ("Ab", "name"), ("x" * 61, "name"), ("digits", "name"), ("mnist", "name")],
)
def test_bad_names_are_refused(owner, name, field, storage):
    with pytest.raises(UploadError) as error:
        receive_upload(owner=owner, name=name, files=csv())
    assert error.value.field == field
    assert not Dataset.objects.exists() and not (storage / "uploads").exists()


@pytest.mark.parametrize("file_name", ["x.exe", "../../x.csv.sh", "x", "train-images-idx3-ubyte"])
def test_bad_files_are_refused(owner, file_name):
    with pytest.raises(UploadError, match=r"Expected one \.csv"):
        receive_upload(owner=owner, name="mine", files=csv(name=file_name))
    with pytest.raises(UploadError):
        receive_upload(owner=owner, name="mine", files=[])
    with pytest.raises(UploadError, match="empty"):
        receive_upload(owner=owner, name="mine", files=csv(b""))


def test_a_path_in_a_file_name_leads_nowhere(owner, storage):
    file = csv()[0]
    file._name = "../../../tmp/evil.csv"
    assert receive_upload(owner=owner, name="mine", files=[file]).files == ["uploads/mine.csv"]
    assert [path.name for path in storage.rglob("*.csv")] == ["mine.csv"]


def test_a_name_is_taken_once(owner, stranger):
    taken(csv(), owner)
    with pytest.raises(UploadError, match="already"):
        receive_upload(owner=stranger, name="mine", files=csv())


def test_a_storage_that_fails_leaves_nothing(owner, monkeypatch, storage):
    def fail(name, content):
        raise OSError("no space left")

    monkeypatch.setattr(default_storage, "save", fail)
    with pytest.raises(OSError, match="no space"):
        receive_upload(owner=owner, name="mine", files=csv())
    assert not Dataset.objects.exists()


def test_a_storage_elsewhere_is_fetched_from(owner, storage, settings, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    settings.MEDIA_ROOT = str(elsewhere)
    dataset = taken(csv(), owner)
    assert dataset.state == "ready"
    assert (data_folder() / "uploads" / "mine.csv").read_bytes() == CSV
    assert (elsewhere / "uploads" / "mine.csv").exists()
    datasets.delete_dataset(dataset_id=dataset.pk)


def test_only_who_may_see_a_data_set_searches_on_it(owner, stranger, make_search, digits):
    taken(csv(), owner)
    data = digits.to_json() | {"hurdle": None}
    for role in ("search_tasks", "select_tasks", "final_tasks"):
        data[role] |= {
            "dataset": "mine",
            "pairs": "search",
            "held_out_pairs": [],
            "train_examples": 20,
            "valid_examples": 10,
        }
    spec = SearchSpec.from_json(data)
    make_search(spec=spec, owner=owner)
    for somebody in (stranger, None):
        with pytest.raises(SpecError, match="not here"):
            make_search(spec=spec, owner=somebody)
    assert data_facts.searches_of("mine").count() == 1
    with pytest.raises(UploadError, match="not ended"):
        datasets.delete_dataset(dataset_id=Dataset.objects.get().pk)


def test_deleting_takes_the_files(owner, storage, django_capture_on_commit_callbacks):
    dataset = taken(csv(), owner)
    with django_capture_on_commit_callbacks(execute=True):
        datasets.delete_dataset(dataset_id=dataset.pk)
    assert not Dataset.objects.exists() and not list(storage.rglob("*.csv"))


def test_png_is_a_png():
    for shape in ((2, 3), (2, 3, 3)):
        assert png(np.zeros(shape, np.uint8)).startswith(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match="shape"):
        png(np.zeros((2, 3, 4), np.uint8))


# pages


def test_the_list_shows_what_comes_with_the_program_and_ones_own(client, owner, stranger):
    taken(csv(), owner)
    text = client.get("/data/").content.decode()
    assert "Handwritten digits" in text and "1,797 rows, pictures of 8 × 8, 10 classes" in text
    assert ">mine<" not in text
    client.force_login(owner)
    assert "60 rows, 2 columns, 2 classes" in client.get("/data/").content.decode()


def test_a_data_sets_page(client, owner):
    taken(csv(), owner, visibility="public")
    text = client.get("/data/mine/").content.decode()
    assert "2 classes" in text and "Uploaded by owner" in text and "Change</button>" not in text
    assert client.get("/data/nothing/").status_code == 404
    digits = client.get("/data/digits/").content.decode()
    assert digits.count("data:image/png") >= 10


def test_upload_by_form(client, owner, settings):
    settings.ABOVO_OPEN_LAUNCH = False
    assert client.get("/data/new/upload/").headers["Location"].startswith("/login/")
    client.force_login(owner)
    values = {"name": "mine", "title": "", "visibility": "private", "files": csv()}
    response = client.post("/data/new/upload/", values)
    assert response.headers["Location"] == "/data/mine/"
    assert "A worker reads it through" in client.get("/data/mine/").content.decode()
    again = client.post("/data/new/upload/", {**values, "files": csv()})
    assert again.status_code == 422 and "already" in again.content.decode()
    bad = client.post("/data/new/upload/", {"name": "other", "visibility": "private"})
    assert bad.status_code == 422 and "required" in str(bad.context["form"].errors["files"])


def test_too_much_is_refused_before_it_is_read(client, owner, settings):
    settings.ABOVO_UPLOAD_BYTES = 1000
    client.force_login(owner)
    response = client.post("/data/new/upload/", {"name": "mine", "visibility": "private", "files": csv(b"1," * 1000)})
    assert response.status_code == 400
    assert not Dataset.objects.exists()


def test_the_owner_changes_who_sees_it_and_deletes_it(client, owner, stranger):
    taken(csv(), owner)
    client.force_login(stranger)
    assert client.post("/data/mine/visibility/", {"visibility": "public"}).status_code == 404
    client.force_login(owner)
    client.post("/data/mine/visibility/", {"visibility": "public"})
    assert Dataset.objects.get().visibility == "public"
    client.post("/data/mine/visibility/", {"visibility": "secret"})
    assert Dataset.objects.get().visibility == "public"
    assert "No search was made on it" in client.get("/data/mine/delete/").content.decode()
    assert client.post("/data/mine/delete/").headers["Location"] == "/data/"
    assert not Dataset.objects.exists()
