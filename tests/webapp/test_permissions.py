"""The matrix of role and address, generated from the URLconf: what somebody may not see is not there for them."""

from __future__ import annotations

from copy import deepcopy

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from webapp.experiments.models import BundleImport, Dataset, Evaluation, Measurement, Note, Study, Trial
from webapp.people.models import Role
from webapp.people.services import accounts, invitations, tokens

from .addresses import BODIES, ROLES, RULES, UNNAMED, VISIBILITIES

pytestmark = pytest.mark.django_db


def addresses(patterns=None, namespace="", prefix=""):
    """Yield (name with namespace, names of arguments, pattern as written) of every address but Django's administration."""
    for one in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(one.pattern)
        if isinstance(one, URLPattern):
            yield (f"{namespace}{one.name}" if one.name else None), tuple(one.pattern.converters), route
        elif one.namespace != "admin":
            inner = f"{namespace}{one.namespace}:" if one.namespace else namespace
            yield from addresses(one.url_patterns, inner, route)


def test_every_address_has_a_rule():
    found = list(addresses())
    named = {name for name, _arguments, _route in found if name}
    assert named - set(RULES) == set(), "tests/webapp/addresses.py says who may open an address: add a line for these"
    assert set(RULES) - named == set(), "rules of addresses that are no longer there"
    assert {route for name, _arguments, route in found if not name} == UNNAMED


@pytest.fixture
def world(make_search, run, owner, stranger, administrator, django_user_model, settings):
    """Somebody of each role, and for each argument of addresses the owner's things by visibility."""
    settings.ABOVO_OPEN_LAUNCH = False
    settings.ABOVO_EMAIL = True
    settings.ABOVO_API_RATE = settings.ABOVO_API_RATE_ANONYMOUS = 0
    viewer = django_user_model.objects.create_user("viewer")
    accounts.set_role(viewer, Role.VIEWER)
    clients = {"anonymous": Client()}
    for role, user in {"viewer": viewer, "stranger": stranger, "owner": owner, "administrator": administrator}.items():
        clients[role] = Client()
        clients[role].force_login(user)
    kinds = ("search_id", "permalink", "evaluation_id", "name", "note_id", "study_id")
    things: dict[str, dict[str, object]] = {kind: {} for kind in kinds}
    for seed, visibility in enumerate(VISIBILITIES, 1):
        search = make_search(owner=owner, visibility=visibility, seed=seed, title=f"The {visibility} search")
        run(search)
        Measurement.objects.create(
            find=search.best,
            data={"tasks": {}, "examples": [1], "role": "select", "curve": {"found": [[0.5, 0.5, 0.5]]}},
        )
        Dataset.objects.create(owner=owner, name=f"{visibility}-set", visibility=visibility)
        study = Study.objects.create(owner=owner, title=f"The {visibility} study", visibility=visibility)
        things["study_id"][visibility] = study.pk
        things["name"][visibility] = f"{visibility}-set"
        things["search_id"][visibility] = search.pk
        things["evaluation_id"][visibility] = Evaluation.objects.create(find=search.best, dataset="digits", seed=1).pk
        things["permalink"][visibility] = search.best.algorithm.permalink
        note = Note.objects.create(user=owner, algorithm=search.best.algorithm, text="Of note")
        things["note_id"][visibility] = note.pk
    trial = Trial.objects.create(key="abc", asker="somebody", spec=search.spec)
    invitation, secret = invitations.invite(by=administrator)
    token, _secret = tokens.create_token(user=owner, name="a", scope="read")
    brought = BundleImport.objects.create(owner=owner, name="bundle.jsonl", state="done")
    same = {
        "import_id": brought.pk,
        "user_id": owner.pk, "token_id": token.pk, "invitation_id": invitation.pk, "secret": secret,
        "code": "ko",
        "key": trial.key,
    }  # fmt: skip
    return clients, things, same


METHODS = ("get", "post", "patch", "delete")


def is_refused(response) -> bool:
    """Whether somebody is told that this is not theirs to do."""
    return response.status_code in (401, 403) or response.headers.get("Location", "").startswith("/login/")


def visit(client, method, path, body=None):
    """Ask for an address as somebody; whatever that did is undone."""
    sent = {"data": body, "content_type": "application/json"} if path.startswith("/api/") and method != "get" else {}
    cookies = deepcopy(client.cookies)
    with transaction.atomic():
        response = getattr(client, method)(path, **sent)
        if response.streaming:
            list(response.streaming_content)
        transaction.set_rollback(True)
    client.cookies = cookies  # signing out is undone, too
    return response


def test_what_each_role_finds_at_each_address(world):
    clients, things, same = world
    wrong = []
    for name, arguments, _route in addresses():
        if name is None:
            continue
        rule = RULES[name]
        by_visibility = [argument for argument in arguments if argument in things]
        assert set(arguments) <= {*things, *same}, f"{name}: say in `world` what its arguments stand for"
        methods = METHODS
        for visibility in VISIBILITIES if by_visibility else ("",):
            values = {argument: things[argument][visibility] for argument in by_visibility}
            path = reverse(name, kwargs={**{one: same[one] for one in arguments if one in same}, **values})
            # An unlisted thing opens as a public one does: that one stranger finds it is enough.
            for role in ROLES if visibility != "unlisted" else ("anonymous",):
                answers = {method: visit(clients[role], method, path, BODIES.get(name, {})) for method in methods}
                # A method that an address does not know says nothing about what is there, to nobody.
                answers = {method: answer for method, answer in answers.items() if answer.status_code != 405}
                methods = tuple(answers)
                found = {answer.status_code for answer in answers.values()}
                deeds = [answer for method, answer in answers.items() if method != "get"] or list(answers.values())
                if not rule.sees(role, visibility):
                    good = found == {404}
                elif not rule.may(role, visibility):
                    good = 404 not in found and all(map(is_refused, deeds))
                else:
                    good = not any(map(is_refused, answers.values())) and 404 not in found and max(found) < 500
                if not good:
                    wrong.append(f"{role} at {name} ({visibility or 'no thing'}): {sorted(found)}")
    assert wrong == []


def test_lists_and_feeds_show_only_what_is_listed(world):
    """Every address without a thing of its own, asked by strangers: nothing of what is unlisted or private is in it."""
    clients, things, _same = world
    hidden = [f"The {visibility} search" for visibility in ("unlisted", "private")]
    hidden += [str(things["permalink"][visibility]) for visibility in ("unlisted", "private")]
    for name, arguments, _route in addresses():
        if name is None or arguments:
            continue
        for role in ("anonymous", "viewer", "stranger"):
            response = visit(clients[role], "get", reverse(name))
            # The icon of the site is among the addresses, and no text.
            text = b"".join(response.streaming_content if response.streaming else [response.content])
            text = text.decode(errors="replace")
            assert [word for word in hidden if word in text] == [], (role, name)
    text = visit(clients["owner"], "get", "/searches/").content.decode()
    assert "The private search" in text and "The unlisted search" in text


def test_the_administration_is_closed(world):
    clients, _things, _same = world
    for role in ("anonymous", "viewer", "stranger", "owner"):
        for path in ("/admin/", "/admin/experiments/search/", "/admin/auth/user/", "/admin/people/profile/"):
            response = visit(clients[role], "get", path)
            assert response.status_code == 404 or response.headers["Location"].startswith("/admin/login/")


def test_a_public_find_opens_what_a_private_search_found_too(world, make_search, run, owner):
    """An algorithm is open as soon as one search that found it is; the private search stays hidden on its page."""
    clients, things, _same = world
    again = make_search(owner=owner, visibility="public", seed=3, title="The open search")  # the private one's seed
    run(again)
    response = visit(clients["stranger"], "get", f"/a/{things['permalink']['private']}")
    text = response.content.decode()
    assert response.status_code == 200 and "The private search" not in text
    assert f"/searches/{things['search_id']['private']}/" not in text
