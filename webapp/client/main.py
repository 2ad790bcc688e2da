"""The commands of `abovo`."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from webapp.client import bundles, config, show
from webapp.client.errors import ClientError
from webapp.client.http import Api

EXPORTS = ("python", "sklearn", "latex", "json", "text")
VISIBILITIES = ("public", "unlisted", "private")
MOST_BYTES = 1_000_000
STEERS = {
    "pause": "pause a search; a worker ends its slice first",
    "resume": "let a paused search go on",
    "stop": "stop a search for good; what it found stays",
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.replace('argument ', '', 1)}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0, 1 (a watched search failed), 2 (it could not be done)."""
    args = _parser().parse_args(arguments)
    try:
        return args.run(args) or 0
    except ClientError as error:
        print(f"abovo: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="abovo", description="Start and watch searches on a server of Ab Ovo, and take away what they found."
    )
    parser.add_argument(
        "--url", default="", help=f"the server; else ABOVO_URL, the stored one, or {config.DEFAULT_URL}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, run, words: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
        one.set_defaults(run=run)
        return one

    login = command("login", _login, "keep the server's address and a token of your account page")
    login.add_argument("--url", default=argparse.SUPPRESS, help="the server")
    command("logout", _logout, "forget both")
    command("whoami", _whoami, "say whose token this is, and what it may")

    launch = command("launch", _launch, "start a search; prints its number and address")
    launch.add_argument("spec", nargs="?", help="a specification as TOML or JSON; - reads standard input")
    launch.add_argument("--preset", help="start from this preset instead of a file; `abovo presets` lists them")
    launch.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field, such as stop.max_seconds=60"
    )
    launch.add_argument("--title", default="", help="what lists call it")
    launch.add_argument("--seed", type=int, help="the same seed gives the same search")
    launch.add_argument("--visibility", choices=VISIBILITIES, default="public")
    launch.add_argument("--watch", action="store_true", help="stay until it ends; Ctrl-C leaves it running")
    launch.add_argument("--json", action="store_true", help="print the search as JSON")

    command("presets", _presets, "list what searches can start from")

    searches = command("list", _list, "list searches, newest first")
    searches.add_argument("--state", choices=("active", "paused", "ended", "failed"))
    searches.add_argument("--mine", action="store_true", help="only your own")
    searches.add_argument("--limit", type=int, default=20)
    searches.add_argument("--json", action="store_true", help="one search a line, as JSON")

    watch = command("watch", _watch_command, "stay with a search until it ends")
    watch.add_argument("search", type=int)
    best = command("best", _best, "print the best algorithm of a search: its page and its program")
    best.add_argument("search", type=int)
    best.add_argument("--json", action="store_true", help="as JSON")
    for name, words in STEERS.items():
        command(name, _steer, words).add_argument("search", type=int)
    extend = command("extend", _extend, "give a search more time")
    extend.add_argument("search", type=int)
    extend.add_argument("seconds", type=float)

    export = command("export", _export, "print an algorithm as code, LaTeX, JSON or text")
    export.add_argument("algorithm", help="a permalink such as 7Q4mXc2fGh, or the number of a search: its best")
    export.add_argument("--to", choices=EXPORTS, default="python")
    export.add_argument("--output", "-o", help="a file, instead of standard output")

    taken = command("export-search", _export_search, "take a search that has ended away as a bundle")
    taken.add_argument("search", type=int)
    taken.add_argument("--output", "-o", help="the file (default: search-NUMBER.jsonl.gz)")
    brought = command(
        "import-search", _import_search, "bring in the searches of a bundle; waits until they are checked"
    )
    brought.add_argument("file", help="a bundle: .jsonl or .jsonl.gz")
    brought.add_argument("--visibility", choices=VISIBILITIES, default="private")
    return parser


def _api(args: argparse.Namespace) -> Api:
    return Api(config.load(args.url))


def _login(args: argparse.Namespace) -> None:
    url = config.check_url(args.url or os.environ.get("ABOVO_URL") or config.DEFAULT_URL)
    if sys.stdin.isatty():
        print(f"Make a token on {url}/account/ and paste it here (it is not shown).", file=sys.stderr)
        token = getpass.getpass("Token: ").strip()
    else:
        token = sys.stdin.readline().strip()
    if not token:
        raise ClientError("no token was given")
    chosen = config.Config(url, token)
    account = Api(chosen).get("/account")
    file = config.save(chosen)
    print(f"{account['name']} at {url}; kept in {file}")


def _logout(args: argparse.Namespace) -> None:
    if config.forget():
        print("Forgotten. The token itself is still good: end it on your account page.")
    else:
        print("Nothing was kept.")


def _whoami(args: argparse.Namespace) -> None:
    api = _api(args)
    account = api.get("/account")
    who = f"{account['name']}, {account['role']}" if account["name"] else "nobody in particular"
    may = "may start searches" if account["may_launch"] and account["scope"] == "launch" else "may read"
    print(f"{who} at {api.config.url}: {may}")


def _launch(args: argparse.Namespace) -> int:
    data: dict[str, Any] = {"title": args.title, "visibility": args.visibility, "changes": _changes(args.set)}
    if args.seed is not None:
        data["seed"] = args.seed
    if (args.spec is None) == (args.preset is None):
        raise ClientError("launch: give a file or --preset")
    if args.preset is not None:
        data["preset"] = args.preset
    else:
        text = _read_text(args.spec)
        if text.lstrip().startswith("{"):
            data["spec"] = _parse(text, args.spec)
        else:
            data["toml"] = text
    api = _api(args)
    search = api.post("/searches", data)
    if args.json and not args.watch:
        print(json.dumps(search))
    elif not args.json:
        print(f"{search['id']}  {search['url']}", flush=True)
    return _watch(api, search["id"], as_json=args.json) if args.watch else 0


def _watch_command(args: argparse.Namespace) -> int:
    return _watch(_api(args), args.search)


def _watch(api: Api, number: int, *, as_json: bool = False) -> int:
    """Show a search until it ends: every second at first, then every two."""
    progress = show.Progress()
    looks = 0
    try:
        while True:
            search = api.get(f"/searches/{number}")
            progress.show(search)
            if search["state"] in show.ENDED:
                break
            time.sleep(1.0 if looks < 10 else 2.0)
            looks += 1
    except KeyboardInterrupt:
        progress.end()
        print(f"abovo: the search goes on; `abovo watch {number}` comes back to it", file=sys.stderr)
        return 130
    progress.end()
    if as_json:
        print(json.dumps(search))
    if search["state"] == "failed":
        print(f"abovo: the search failed: {search['failure_reason']}", file=sys.stderr)
        return 1
    found = search["result"] or search["best"]
    if found and not as_json:
        print(found["url"])
    return 0


def _presets(args: argparse.Namespace) -> None:
    rows = _api(args).get("/presets")
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        missing = f" (needs the data set {row['missing_dataset']})" if row["missing_dataset"] else ""
        print(f"{row['name']:{width}}  {row['title']}{missing}")


def _list(args: argparse.Namespace) -> None:
    for search in _api(args).every("/searches", most=args.limit, state=args.state, mine=args.mine or None):
        print(
            json.dumps(search) if args.json else f"{search['id']:>6}  {search['title'][:48]:48}  {show.line(search)}",
            flush=True,
        )


def _best(args: argparse.Namespace) -> None:
    found = _api(args).get(f"/searches/{args.search}/best")
    if args.json:
        print(json.dumps(found))
        return
    own = next((find for find in found["finds"] if find["search_id"] == args.search), None)
    print(found["title"])
    print(found["url"])
    if own:
        scores = {"search": own["score"], "select": own["select_score"], "final": own["final_score"]}
        print(", ".join(f"{name} {show.score(value)}" for name, value in scores.items() if value is not None))
    print()
    print(found["pseudocode"])


def _steer(args: argparse.Namespace) -> None:
    print(show.line(_api(args).post(f"/searches/{args.search}/{args.command}")))


def _extend(args: argparse.Namespace) -> None:
    search = _api(args).post(f"/searches/{args.search}/extend", {"seconds": args.seconds})
    print(f"time limit {show.span(search['max_seconds'])}; {show.line(search)}")


def _export(args: argparse.Namespace) -> None:
    api = _api(args)
    permalink = args.algorithm
    # Numbers of searches are short, permalinks have ten characters at least.
    if permalink.isdecimal() and len(permalink) < 10:
        permalink = api.get(f"/searches/{permalink}/best")["permalink"]
    if not permalink.isascii() or not permalink.isalnum():
        raise ClientError(f"export: {permalink!r} is neither a permalink nor the number of a search")
    text = api.get(f"/algorithms/{permalink}/export", to=args.to)
    if not isinstance(text, str):
        text = json.dumps(text, indent=2) + "\n"
    if args.output:
        try:
            Path(args.output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise ClientError(f"export: cannot write {args.output}: {error.strerror}") from None
    else:
        sys.stdout.write(text)


def _export_search(args: argparse.Namespace) -> None:
    bundles.export_search(_api(args), args)


def _import_search(args: argparse.Namespace) -> None:
    bundles.import_search(_api(args), args)


def _changes(settings: Sequence[str]) -> dict[str, Any]:
    """Return {"stop": {"max_seconds": 60}} for ["stop.max_seconds=60"]; values are JSON, or else plain text."""
    result: dict[str, Any] = {}
    for one in settings:
        name, equals, text = one.partition("=")
        parts = name.strip().split(".")
        if not equals or not all(parts):
            raise ClientError(f"--set: expected FIELD=VALUE, got {one!r}")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        table = result
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ClientError(f"--set: {name} is set twice")
        table[parts[-1]] = value
    return result


def _read_text(name: str) -> str:
    try:
        data = sys.stdin.buffer.read(MOST_BYTES + 1) if name == "-" else Path(name).read_bytes()[: MOST_BYTES + 1]
        if len(data) > MOST_BYTES:
            raise ClientError(f"launch: {name} is larger than {MOST_BYTES:,} bytes")
        return data.decode("utf-8")
    except OSError as error:
        raise ClientError(f"launch: cannot read {name}: {error.strerror}") from None
    except ValueError:
        raise ClientError(f"launch: {name} is not UTF-8 text") from None


def _parse(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ClientError(f"launch: {name} is not valid JSON: {error}") from None
