"""The questions padawan is examined with: held out of training, drawn by a seed of their own."""

import random

from world import arithmetic, conversation, general, mix, product, unknown, words

SEED = 2026
AT_LEAST = 500
CONTEXT_TOKENS = 512


def distinct(rng, draw, count: int) -> list[tuple[str, str]]:
    """Up to `count` different questions; stops where the world has no more."""
    found: dict[str, str] = {}
    for _ in range(count * 30):
        if len(found) == count:
            break
        question, answer = draw(rng, True)
        found.setdefault(question, answer)
    return list(found.items())


def held_pairs(kind: str, ordered: bool):
    pairs = [(a, b) for a in range(100) for b in range(100) if arithmetic.pair_held_out(kind, a, b)]
    return [(a, b) for a, b in pairs if a >= b] if ordered else pairs


def sums(rng):
    return [(arithmetic.phrase(rng, arithmetic.SUMS, a, b), str(a + b))
            for a, b in held_pairs('sum', False)]


def differences(rng):
    return [(arithmetic.phrase(rng, arithmetic.DIFFERENCES, a, b), str(a - b))
            for a, b in held_pairs('difference', True)]


def negatives(rng):
    return [(arithmetic.phrase(rng, arithmetic.DIFFERENCES, b, a), str(b - a))
            for a, b in held_pairs('difference', True) if a != b]


def products(rng):
    return [(arithmetic.phrase(rng, arithmetic.PRODUCTS, a, b), str(a * b))
            for a in range(13) for b in range(13) for _ in range(3)]


def facts(rng, part: dict, count: int):
    every = [pair for pairs in part.values() for pair in pairs]
    return rng.sample(every, min(count, len(every)))


def capitals(rng):
    return [(wording.format(x=country), city) for country, city in general.CAPITALS.items()
            for index, wording in enumerate(general.CAPITAL_WORDS) if index % 4 == 3]


def repeats(rng):
    held = [noun for noun in words.NOUNS if words.held_out(noun, 'repeat', 0.15)]
    return [(wording.format(x=noun), noun) for noun in held
            for wording in dict.fromkeys(general.REPEAT_WORDS)]


def sections() -> dict[str, list[tuple[str, str]]]:
    rng = random.Random(SEED)
    return {
        'canary and smoke prompts': list(mix.SMOKE),
        'sums of 0-99, held-out pairs': sums(rng),
        'differences of 0-99, held-out pairs': differences(rng),
        'differences below zero, held-out pairs': negatives(rng),
        'products up to 12x12, trained': products(rng),
        'product facts, trained wording': facts(rng, product.TRAINED, 1000),
        'product facts, new wording': facts(rng, product.NEW_WORDING, 10_000),
        'product facts, new name of the subject': facts(rng, product.NEW_PHRASE, 1000),
        'product facts, new wording and new name': facts(rng, product.BOTH_NEW, 10_000),
        'capitals, new wording': capitals(rng),
        'repeat a held-out word': repeats(rng),
        'count': distinct(rng, general.count, AT_LEAST),
        'days and months': distinct(rng, general.calendar, AT_LEAST),
        'larger and smaller': distinct(rng, general.compare, AT_LEAST),
        'outside questions answered "I don\'t know."': distinct(rng, unknown.unknown, 1000),
    }


KNOWN_SECTIONS = (
    'sums of 0-99, held-out pairs', 'differences of 0-99, held-out pairs',
    'products up to 12x12, trained', 'product facts, trained wording', 'product facts, new wording',
    'capitals, new wording', 'count', 'days and months', 'larger and smaller')


def context_questions() -> list[tuple[str, str]]:
    """What is asked plainly and again in each kind of context, in the proportions of training."""
    rng = random.Random(SEED + 1)
    kinds = [name for name in mix.NAMES if name != 'smoke']
    weights = [mix.KINDS[name][1] for name in kinds]
    out: dict[str, str] = {}
    while len(out) < 600:
        kind = rng.choices(kinds, weights)[0]
        if kind == 'fact':
            question, answer = rng.choice(facts(rng, product.NEW_WORDING, 1))
        else:
            question, answer = mix.KINDS[kind][0](rng, True)
        out.setdefault(question, answer)
    return list(out.items())


def under_system(rng, question: str):
    return conversation.system_prompt(rng, True), [], question


def third_turn(rng, question: str):
    return None, [conversation.turn(rng, False) for _ in range(2)], question


def long_context(rng, question: str, coder):
    """Turns and text before the question until prompt and answer fill about 512 tokens."""
    system = conversation.system_prompt(rng, True) if rng.random() < 0.5 else None
    pairs = []
    while len(coder.prompt(system, pairs, question)) < CONTEXT_TOKENS - 110:
        if rng.random() < 0.25:
            pairs.append(conversation.held_text(rng, rng.randint(60, 240)))
        else:
            pairs.append(conversation.turn(rng, False))
    while len(coder.prompt(system, pairs, question)) < CONTEXT_TOKENS - 24:
        pairs.append(conversation.turn(rng, False))
    return system, pairs, question
