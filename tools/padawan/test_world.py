"""Run with: python -m pytest tools/padawan"""

import random

import exam
from world import arithmetic, facts, general, mix, product, unknown


def test_held_out_pairs_never_train_in_either_order():
    rng = random.Random(1)
    for _ in range(3000):
        for kind in ('sum', 'difference'):
            a, b = arithmetic.draw(rng, kind, False)
            assert not arithmetic.pair_held_out(kind, a, b)
            assert not arithmetic.pair_held_out(kind, b, a)


def test_no_examined_question_is_drawn_in_training():
    examined = {question for name, pairs in exam.sections().items()
                if 'held-out' in name or 'new' in name or 'outside' in name
                for question, _ in pairs}
    rng = random.Random(2)
    for _ in range(60_000):
        question, _ = mix.sample(rng)
        assert question not in examined


def test_every_figure_has_enough_questions():
    sections = exam.sections()
    for name in ('sums of 0-99, held-out pairs', 'differences of 0-99, held-out pairs',
                 'product facts, new wording', 'outside questions answered "I don\'t know."'):
        assert len(sections[name]) >= exam.AT_LEAST, name


def test_one_question_has_one_answer():
    answers: dict[str, str] = {}
    for relation in product.RELATIONS:
        for question, answer, _, _ in product.questions(relation):
            assert answers.setdefault(question, answer) == answer, question


def test_relations_have_fifteen_to_twenty_wordings():
    for relation in product.RELATIONS:
        assert 15 <= len(set(relation.wordings)) == len(relation.wordings) <= 20, relation.name


def test_unknown_never_asks_what_is_known():
    known = {question for relation in product.RELATIONS
             for question, *_ in product.questions(relation)}
    rng = random.Random(3)
    for _ in range(30_000):
        for held in (False, True):
            assert unknown.question(rng, held) not in known
    assert not set(unknown.COUNTRIES) & set(general.CAPITALS)


def test_arithmetic_is_right():
    rng = random.Random(4)
    for _ in range(2000):
        question, answer = arithmetic.difference(rng, rng.random() < 0.5)
        assert int(answer) >= 0, question
        question, answer = arithmetic.negative_difference(rng, True)
        assert int(answer) <= 0, question


def test_smoke_prompts_are_trained_questions():
    questions = dict(mix.SMOKE)
    for relation in product.RELATIONS:
        for question, answer, wording_held, phrase_held in product.questions(relation):
            if question in questions:
                assert questions[question] == answer and not wording_held and not phrase_held
    assert {port for _, port in facts.PORTS} >= {'8900', '1337', '1338'}
