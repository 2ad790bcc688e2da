"""Searches as bundles: `abovo export-search` takes them away, `abovo import-search` brings them in."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from webapp.client.errors import ClientError
from webapp.client.http import Api

LOOK_EVERY = 1.0


def export_search(api: Api, args: argparse.Namespace) -> None:
    """Write a search's bundle into a file, whole or not at all."""
    target = Path(args.output or f"search-{args.search}.jsonl.gz")
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            api.download(f"/searches/{args.search}/bundle", file)
        part.replace(target)
    except OSError as error:
        raise ClientError(f"export-search: cannot write {target}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    print(f"{target}  {target.stat().st_size:,} bytes")


def import_search(api: Api, args: argparse.Namespace) -> None:
    """Send a bundle, wait until a worker has checked it, and print the searches in it."""
    source = Path(args.file)
    try:
        with source.open("rb") as file:
            row = api.upload("/imports", source.name, file, {"visibility": args.visibility})
    except OSError as error:
        raise ClientError(f"import-search: cannot read {source}: {error.strerror}") from None
    while row["state"] == "waiting":
        time.sleep(LOOK_EVERY)
        row = api.get(f"/imports/{row['id']}")
    if row["state"] == "refused":
        raise ClientError(f"import-search: nothing was imported of {source.name}: {row['reason']}")
    for one in row["searches"]:
        what = "imported"
        if one["known"]:
            what = "is here already" if one["same"] else "is here already, with other content: nothing was changed"
        print(f"{one['search_id']}  {one['title']}  {what}")
