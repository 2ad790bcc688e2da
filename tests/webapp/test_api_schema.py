"""The API against its own description, by schemathesis: nothing sent to it breaks it, and every answer is as described.

A short run with fixed examples is part of all tests; `make fuzz-api` sends at least 10,000 new ones.
"""

import contextlib
import os
from collections import Counter

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from webapp.api.v1 import api
from webapp.experiments.models import Evaluation
from webapp.people.services import tokens

pytestmark = [pytest.mark.django_db, pytest.mark.once]

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [
    (method.upper(), path) for path, methods in api.get_openapi_schema()["paths"].items() for method in methods
]
SHORT = how(
    max_examples=4, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)  # fmt: skip
LONG = how(
    max_examples=int(os.environ.get("ABOVO_FUZZ", "600")), database=None, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


class _ConnectionStays(contextlib.AbstractContextManager):
    """The end of a request does not close the test's connection, as in Django's own test client."""

    def __enter__(self):
        for signal in (request_started, request_finished):
            signal.disconnect(close_old_connections)

    def __exit__(self, *error):
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


CONNECTION_STAYS = _ConnectionStays()
answered: Counter[tuple[str, str]] = Counter()
statuses: Counter[int] = Counter()


@pytest.fixture
def calls(owner, make_search, run, settings):
    """A function that tries an operation, as the owner of a search that found something; a call's deeds are undone."""
    settings.ABOVO_OPEN_LAUNCH = False
    settings.ABOVO_API_RATE = settings.ABOVO_API_RATE_ANONYMOUS = 0
    search = make_search(owner=owner)
    run(search)
    evaluation = Evaluation.objects.create(find=search.best, dataset="digits", seed=1)
    real = {"search_id": search.pk, "permalink": search.best.algorithm.permalink, "evaluation_id": evaluation.pk}
    secret = tokens.create_token(user=owner, name="t", scope="launch")[1]
    with CONNECTION_STAYS:
        schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())

    def attempt(method, path, profile):
        operation = schema[path][method]

        # What the description allows, and what it does not.
        cases = st.one_of(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

        @profile
        @given(case=cases, exists=st.booleans(), known=st.booleans())
        def one(case, exists, known):
            answered[method, path] += 1
            for name in case.path_parameters or {}:
                if exists and name in real:
                    case.path_parameters[name] = real[name]
            with transaction.atomic(), CONNECTION_STAYS:
                plain = {"Accept-Encoding": "identity"}  # what calls it here does not unpack
                response = case.call(headers=plain | ({"Authorization": f"Bearer {secret}"} if known else {}))
                transaction.set_rollback(True)
            statuses[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        one()

    return attempt


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_described(calls, method, path):
    calls(method, path, SHORT)


@pytest.mark.fuzz
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_breaks_it(calls, method, path):
    calls(method, path, LONG)


@pytest.mark.fuzz
def test_that_was_ten_thousand_requests(capsys):
    with capsys.disabled():
        print(f"\n{answered.total()} requests to {len(answered)} operations; answers: {dict(sorted(statuses.items()))}")
    assert answered.total() >= 10_000
    assert len(answered) == len(OPERATIONS)
