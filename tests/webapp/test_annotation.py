"""Programs explained on pages: roles beside lines, motifs that point at theirs, titles in words."""

import re

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.html import strip_tags

from engine.algorithm import Algorithm as Program
from engine.algorithm import Instruction
from engine.baselines import BASELINES
from engine.canonical import live_mask
from engine.explain import ROLES
from engine.motifs import MOTIFS
from engine.ops import Op
from webapp.experiments import annotation, code, words
from webapp.experiments.services import record

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_kept")]


def store(program):
    return record.record_algorithms([program], published=True)[program.digest()]


def annotate(program):
    return annotation.annotate(store(program), program, live_mask(program))


def page(client, program):
    return client.get(store(program).get_absolute_url()).content.decode()


def test_each_live_line_has_its_role(client):
    text = page(client, BASELINES["linear"].build())
    line = re.search(r'<li class="code[^"]*" id="line-learn-1">.*?</li>', text).group()
    assert strip_tags(line) == "s3 = s0 - s1: error, label and prediction compared, scalar"
    assert text.count('class="role"') == 6


def test_dead_lines_are_folded_and_have_no_role(client):
    program = BASELINES["linear"].build()
    dead = Instruction(Op.SCALAR_SIN, 3, out=3)
    text = page(client, Program(program.setup, (dead, *program.predict), program.learn))
    assert "1 line without effect folded" in text
    assert text.count('class="role"') == 6
    assert 'id="line-predict-2"' in text and 'id="line-predict-1"' not in text


def test_motifs_point_at_their_lines(client):
    text = page(client, BASELINES["net"].build())
    assert re.findall(r'class="badge" href="#([^"]+)"', text) == [
        "motif-gradient-descent",
        "motif-relu",
        "motif-random-initialisation",
    ]
    for target in re.findall(r'href="#((?:motif|line)-[^"]+)"', text):
        assert text.count(f'id="{target}"') == 1, target
    lines = re.search(r'<li id="motif-relu">.*?</li>', text).group()
    assert re.findall(r'href="#(line-[^"]+)"', lines) == ["line-predict-3"]
    assert "in-relu" in re.search(r'<li class="([^"]*)" id="line-predict-3"', text).group(1)


def test_each_op_leads_to_its_entry(client):
    text = page(client, BASELINES["linear"].build())
    assert re.search(
        rf'href="/learn/ops/#op-{Op.VECTOR_INNER_PRODUCT.value}" title="VECTOR_INNER_PRODUCT[^"]*">dot<', text
    )
    assert re.search(rf'href="/learn/ops/#op-{Op.SCALAR_DIFF.value}"[^>]*>-<', text)
    assert re.search(rf'href="/learn/ops/#op-{Op.SCALAR_CONST_SET.value}"[^>]*>=<', text)


@pytest.mark.parametrize("op", [op for op in Op if op])
def test_every_op_is_marked_once(op):
    line = Instruction(op, 1, 2, 3, (0.25, -0.5, -1e-7)[: len(Instruction(op).info.constants)])
    pieces = code.with_op(code.pieces(line.text()), op)
    assert "".join(piece.text for piece in pieces) == line.text()
    assert [piece.op for piece in pieces if piece.op] == [op]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("linear", "A linear model that learns by gradient descent"),
        ("affine", "A linear model with a bias that learns by gradient descent"),
        ("net", "A 2-layer net that learns by gradient descent"),
        (
            "bilinear",
            "A bilinear model that learns by normalised gradient descent, with noisy input and accumulated weights",
        ),
    ],
)
def test_titles_say_what_it_is(client, name, title):
    assert f"<h1>{title}</h1>" in page(client, BASELINES[name].build())


def test_a_classifier_is_called_one(digits):
    program = BASELINES["linear"].build()
    assert (
        words.title(store(program), annotate(program), digits) == "A linear classifier that learns by gradient descent"
    )


def test_what_is_not_recognised_is_said_so(client, digits):
    tangle = Program(
        predict=(Instruction(Op.VECTOR_NORM, 0, out=3), Instruction(Op.SCALAR_SIN, 3, out=4), Instruction(Op.SCALAR_PRODUCT, 4, 2, 1)),
        learn=(Instruction(Op.SCALAR_COS, 0, out=2),),
    )  # fmt: skip
    found = annotate(tangle)
    assert not words.is_recognised(found)
    assert words.title(store(tangle), found, digits) == "A classifier for “digits”, evolved from scratch"
    assert "No known model and no known motif was recognised in it." in page(client, tangle)


def test_one_that_does_not_learn_is_said_so(client):
    fixed = Program(predict=(Instruction(Op.VECTOR_NORM, 0, out=1),))
    assert "that does not learn</h1>" in page(client, fixed)


def test_programs_of_one_form_are_explained_once():
    program = BASELINES["net"].build()
    longer = Program(program.setup, (Instruction(Op.SCALAR_SIN, 3, out=4), *program.predict), program.learn)
    assert annotate(program) == annotate(longer)
    assert annotation._explained.cache_info().misses == 1


def test_listings_are_made_once_for_a_size_a_language_and_whatever_is_known_of_the_lines():
    row = store(BASELINES["linear"].build())

    def first_line(**values) -> code.CodeLine:
        return code.annotated(row, **{"features_size": 4, **values})[0][0].live_lines[0]

    line = first_line()
    assert code.annotated(row, features_size=4)[0][0].lines[0] is line  # kept
    knocked = first_line(
        knockouts={
            name: [[-0.5, 0.1]] * len(function)
            for name, function in zip(("setup", "predict", "learn"), BASELINES["linear"].build().functions, strict=True)
        }
    )
    assert knocked.knock == code.Knock(-0.5, 0.1, 100.0) and knocked.pieces == line.pieces
    assert first_line().knock is None
    shapes = [one.shape for one in code.annotated(row, features_size=4)[0][1].lines]
    assert [one.shape for one in code.annotated(row, features_size=8)[0][1].lines] == shapes == ["scalar"]
    vectors = {size: code.annotated(row, features_size=size)[0][2].lines[-1].shape for size in (4, 8)}
    assert vectors == {4: "vector of 4", 8: "vector of 8"}
    with translation.override("ko"):
        assert code.annotated(row, features_size=4)[0][2].lines[-1].shape != vectors[4]


def test_a_page_lives_without_an_explanation(client, monkeypatch):
    def fail(program):
        raise RecursionError

    monkeypatch.setattr("engine.explain.explain", fail)
    text = page(client, BASELINES["linear"].build())
    assert "cannot be explained" in text and "s3 = s0 - s1" in strip_tags(text)


def test_a_very_long_program_is_not_explained(client, monkeypatch):
    monkeypatch.setattr(annotation, "MOST_LINES", 5)
    assert annotate(BASELINES["linear"].build()) is None


def test_every_motif_and_role_has_its_words():
    styles = (settings.BASE_DIR / "static" / "abovo.css").read_text()
    for name in MOTIFS:
        slug = words.motif_slug(name)
        assert words.motif_sentence(name) and name in words.MOTIF_NAMES
        assert f"#motif-{slug}:target) .in-{slug}" in styles
    assert set(ROLES) == set(words.ROLES)


def test_the_live_page_says_what_its_best_program_is(client, make_search, run):
    search = make_search()
    run(search)
    text = client.get(search.get_absolute_url()).content.decode()
    assert 'class="role"' in text and "A prediction without the features that does not learn." in text


def test_registers_can_be_traced_where_scripts_run(client):
    """The script finds the one program by its attribute; its line of words stays hidden where no script shows it."""
    text = page(client, BASELINES["linear"].build())
    assert text.count('data-trace="trace-status"') == 1
    assert re.search(r'id="trace-status" role="status" hidden', text)
    assert "trace.js" in text
