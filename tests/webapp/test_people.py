"""Accounts: roles, invitations, limits, tokens."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from engine.spec import SpecError
from webapp.experiments import access, quotas
from webapp.experiments.models import Dataset, Search
from webapp.experiments.services import steer
from webapp.experiments.services.launch import launch_search
from webapp.people.models import ApiToken, Invitation, Profile, Role
from webapp.people.roles import role_of
from webapp.people.services import accounts, invitations, tokens

pytestmark = pytest.mark.django_db
PASSWORD = "quite a long password"


@pytest.fixture
def viewer(django_user_model):
    user = django_user_model.objects.create_user("viewer")
    accounts.set_role(user, Role.VIEWER)
    return user


@pytest.fixture
def as_administrator(client, administrator):
    client.force_login(administrator)
    return client


def secret_on(response) -> str:
    """The secret that an answer shows."""
    text = response.content.decode()
    return text.split('class="secret">')[1].split("<")[0]


def test_roles(owner, viewer, administrator, settings):
    settings.ABOVO_OPEN_LAUNCH = False
    assert [role_of(user) for user in (owner, viewer, administrator)] == ["researcher", "viewer", "administrator"]
    assert [access.may_launch(user) for user in (owner, viewer, administrator)] == [True, False, True]
    owner.is_active = False
    assert role_of(owner) is None


def test_a_viewer_is_told_so_on_the_launch_page(client, viewer, settings):
    settings.ABOVO_OPEN_LAUNCH = False
    client.force_login(viewer)
    assert client.get("/searches/new/").status_code == 403
    assert "Start a search" not in client.get("/").content.decode()


# Invitations


def test_an_invitation_makes_one_account(as_administrator, client):
    response = as_administrator.post("/people/invite/", {"role": "viewer", "note": "Ada"})
    assert response.status_code == 201 and response.headers["Cache-Control"].count("no-store")
    address = secret_on(response)
    secret = address.rstrip("/").rpartition("/")[2]
    assert secret not in as_administrator.get("/people/").content.decode()
    client.logout()

    assert "viewer" in client.get(address).content.decode()
    refused = client.post(address, {"username": "Owner", "password1": PASSWORD, "password2": "another"})
    assert refused.status_code == 422 and get_user_model().objects.filter(username="Owner").count() == 0
    response = client.post(address, {"username": "ada", "password1": PASSWORD, "password2": PASSWORD})
    assert response.headers["Location"] == "/account/"
    ada = get_user_model().objects.get(username="ada")
    assert role_of(ada) == Role.VIEWER and ada.check_password(PASSWORD)
    assert client.get("/account/").context["user"] == ada
    assert client.get(address).status_code == 404
    assert Invitation.objects.get().used_by == ada


def test_names_that_differ_in_case_only_are_one(client, owner, administrator):
    _invitation, secret = invitations.invite(by=administrator)
    response = client.post(
        f"/invitation/{secret}/", {"username": "OWNER", "password1": PASSWORD, "password2": PASSWORD}
    )
    assert response.status_code == 422 and "taken" in response.content.decode()


@pytest.mark.parametrize("end", ["expired", "withdrawn", "unknown"])
def test_links_that_open_nothing(client, administrator, end):
    invitation, secret = invitations.invite(by=administrator)
    if end == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif end == "withdrawn":
        assert invitations.withdraw(invitation_id=invitation.pk)
    else:
        secret = secret[:-1]
    assert client.get(f"/invitation/{secret}/").status_code == 404
    values = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(f"/invitation/{secret}/", values).status_code == 404
    with pytest.raises(invitations.Unusable):
        invitations.accept(secret=secret, username="ada", password=PASSWORD)


def test_an_invitation_may_make_an_administrator(administrator):
    _invitation, secret = invitations.invite(by=administrator, role=Role.ADMINISTRATOR)
    user = invitations.accept(secret=secret, username="second", password=PASSWORD)
    assert user.is_staff and user.is_superuser and role_of(user) == Role.ADMINISTRATOR


def test_a_link_to_a_new_password(as_administrator, client, owner):
    address = secret_on(as_administrator.post(f"/people/{owner.pk}/new-password/"))
    second = secret_on(as_administrator.post(f"/people/{owner.pk}/new-password/"))
    client.logout()
    assert client.get(address).status_code == 404
    client.post(second, {"new_password1": PASSWORD, "new_password2": PASSWORD})
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


def test_nobody_else_invites(client, owner):
    client.force_login(owner)
    for address in ("/people/", "/people/invite/", f"/people/{owner.pk}/", f"/people/{owner.pk}/new-password/"):
        assert client.get(address).status_code == 404 and client.post(address).status_code == 404
    assert not Invitation.objects.exists()


# Changing accounts


def test_role_and_limits_are_changed(as_administrator, owner):
    values = {
        "role": "researcher",
        "is_active": "on",
        "max_islands": "3",
        "max_search_seconds": "",
        "max_upload_bytes": "9",
    }
    response = as_administrator.post(f"/people/{owner.pk}/", values)
    assert response.headers["Location"] == f"/people/{owner.pk}/"
    profile = Profile.objects.get(user=owner)
    assert (profile.max_islands, profile.max_search_seconds, profile.max_upload_bytes) == (3, None, 9)
    text = as_administrator.get(f"/people/{owner.pk}/").content.decode()
    assert 'value="3"' in text and "0 of 3" in text


def test_bad_limits_stand_beside_their_field(as_administrator, owner):
    values = {"role": "researcher", "is_active": "on", "max_islands": "-1", "max_search_seconds": "nan"}
    response = as_administrator.post(f"/people/{owner.pk}/", values)
    assert response.status_code == 422 and set(response.context["form"].errors) == {"max_islands", "max_search_seconds"}


def test_the_last_administrator_stays(as_administrator, administrator, owner):
    for values in ({"role": "viewer", "is_active": "on"}, {"role": "administrator"}):
        response = as_administrator.post(f"/people/{administrator.pk}/", values)
        assert response.status_code == 422 and "only administrator" in response.content.decode()
    accounts.set_role(owner, Role.ADMINISTRATOR)
    as_administrator.post(f"/people/{administrator.pk}/", {"role": "viewer", "is_active": "on"})
    administrator.refresh_from_db()
    assert role_of(administrator) == Role.VIEWER and not administrator.is_superuser


def test_the_list_takes_as_many_queries_for_more_people(as_administrator, django_user_model, django_assert_num_queries):
    as_administrator.get("/people/")
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(
        connection,
    ) as few:
        as_administrator.get("/people/")
    for number in range(10):
        django_user_model.objects.create_user(f"user{number}")
    with django_assert_num_queries(len(few)):
        as_administrator.get("/people/")


def test_changing_the_password(client, owner):
    owner.set_password(PASSWORD)
    owner.save()
    client.force_login(owner)
    bad = client.post(
        "/account/password/",
        {"old_password": "x", "new_password1": "new" + PASSWORD, "new_password2": "new" + PASSWORD},
    )
    assert bad.status_code == 422
    client.post(
        "/account/password/",
        {"old_password": PASSWORD, "new_password1": "new" + PASSWORD, "new_password2": "new" + PASSWORD},
    )
    owner.refresh_from_db()
    assert owner.check_password("new" + PASSWORD)
    assert client.get("/account/").status_code == 200


# Tokens


def test_a_token_is_shown_once_and_kept_as_a_digest(client, owner):
    client.force_login(owner)
    response = client.post("/account/tokens/", {"name": "my laptop", "scope": "launch", "days": "30"})
    secret = secret_on(response)
    assert response.status_code == 201 and secret.startswith("abovo_")
    token = ApiToken.objects.get()
    assert secret.encode() not in bytes(token.digest) and secret not in token.hint
    assert secret not in client.get("/account/").content.decode()
    found = tokens.find_token(secret)
    assert (found.user, found.scope) == (owner, "launch")
    assert ApiToken.objects.get().last_used_at is not None
    client.post(f"/account/tokens/{token.pk}/end/")
    assert tokens.find_token(secret) is None


def test_tokens_that_open_nothing(owner):
    token, secret = tokens.create_token(user=owner, name="a", scope="read", days=1)
    assert tokens.find_token(secret + "x") is None and tokens.find_token("") is None
    ApiToken.objects.update(expires_at=timezone.now())
    assert tokens.find_token(secret) is None
    ApiToken.objects.update(expires_at=None)
    assert tokens.find_token(secret) == token
    owner.is_active = False
    owner.save()
    assert tokens.find_token(secret) is None


def test_nobody_ends_the_token_of_another(client, owner, stranger):
    token, _secret = tokens.create_token(user=owner, name="a", scope="read")
    client.force_login(stranger)
    client.post(f"/account/tokens/{token.pk}/end/")
    assert ApiToken.objects.filter(pk=token.pk).exists()


def test_an_account_has_some_tokens_at_most(client, owner):
    for number in range(tokens.PER_ACCOUNT):
        tokens.create_token(user=owner, name=str(number), scope="read")
    client.force_login(owner)
    response = client.post("/account/tokens/", {"name": "one more", "scope": "read", "days": "30"})
    assert response.status_code == 422 and "20 tokens at most" in response.content.decode()


# Limits


@pytest.fixture
def limited(owner):
    Profile.objects.create(user=owner, max_islands=2, max_search_seconds=60, max_upload_bytes=100)
    return owner


def test_islands_at_a_time(limited, make_search, run):
    make_search(owner=limited)
    second = make_search(owner=limited)
    with pytest.raises(quotas.QuotaError) as refused:
        make_search(owner=limited)
    assert (refused.value.quota, refused.value.used, refused.value.limit) == ("islands", 2, 2)
    second.islands.update(state="paused")
    assert quotas.islands_in_use(limited) == 1
    make_search(owner=limited)


def test_budget_of_a_search(limited, digits):
    long = replace(digits, stop=replace(digits.stop, max_seconds=61.0))
    endless = replace(digits, stop=replace(digits.stop, max_seconds=None, max_individuals=100, max_experiments=1))
    for spec in (long, endless):
        with pytest.raises(SpecError) as refused:
            launch_search(spec=spec, owner=limited)
        assert refused.value.field == "stop.max_seconds"
    launch_search(spec=endless, owner=None)


def test_limits_hold_for_steering_too(limited, administrator, make_search, digits):
    search = make_search(owner=limited)
    with pytest.raises(SpecError, match="may last"):
        steer.extend_search(search_id=search.pk, more_seconds=1, by=limited)
    steer.extend_search(search_id=search.pk, more_seconds=1, by=administrator)
    steer.pause_search(search_id=search.pk, by=limited)
    make_search(owner=limited)
    make_search(owner=limited)
    with pytest.raises(quotas.QuotaError):
        steer.resume_search(search_id=search.pk, by=limited)
    search.refresh_from_db()
    assert search.state == "paused" and not search.islands.filter(state="queued").exists()


def test_uploads(limited, administrator):
    Dataset.objects.create(owner=limited, name="half", bytes=50)
    quotas.check_upload(limited, more=50)
    with pytest.raises(quotas.QuotaError, match="100 bytes"):
        quotas.check_upload(limited, more=51)
    quotas.check_upload(administrator, more=10**12)


def test_the_form_says_which_limit(client, limited):
    client.force_login(limited)
    response = client.post("/searches/new/", {"preset": "digits", "max_seconds": "100"})
    assert response.status_code == 422 and "may last 60 seconds" in response.content.decode()
    for _ in range(2):
        client.post("/searches/new/", {"preset": "digits", "stop.max_seconds": "10"})
    response = client.post("/searches/new/", {"preset": "digits", "stop.max_seconds": "10"})
    assert response.status_code == 422 and "2 islands at work" in response.content.decode()
    assert "2 of 2" in client.get("/account/").content.decode()


def test_nobody_owns_nothing_private(db, digits):
    with pytest.raises(SpecError, match="sign in"):
        launch_search(spec=digits, visibility="private")


# The administration


def test_the_administration_changes_only_what_it_was_asked_to(as_administrator, make_search, run, owner):
    """Opening a search there publishes what it found; what a worker wrote while the form was open stays."""
    search = make_search(owner=owner, visibility="private")
    run(search)
    values = {"title": search.title, "owner": owner.pk, "visibility": "public", "priority": "0"}
    values |= {"islands-TOTAL_FORMS": "0", "islands-INITIAL_FORMS": "0"}
    Search.objects.filter(pk=search.pk).update(individuals=1_000_000)
    response = as_administrator.post(f"/admin/experiments/search/{search.pk}/change/", values)
    assert response.status_code == 302, response.content.decode()
    search.refresh_from_db()
    assert (search.visibility, search.individuals) == ("public", 1_000_000)
    assert search.best.algorithm.published_at is not None


def test_the_administration_makes_nothing_private_that_has_no_owner(as_administrator, make_search):
    search = make_search()
    values = {"title": "New", "owner": "", "visibility": "private", "priority": "0"}
    values |= {"islands-TOTAL_FORMS": "0", "islands-INITIAL_FORMS": "0"}
    as_administrator.post(f"/admin/experiments/search/{search.pk}/change/", values)
    search.refresh_from_db()
    assert (search.title, search.visibility) == ("New", "public")
