"""How often each kind of question is asked in training."""

from . import arithmetic, general, product, unknown

SMOKE = (
    ('What is 2+2? Respond with only the number.', '4'),
    ('What is 17+25? Respond with only the number.', '42'),
    ('What is 9-4? Respond with only the number.', '5'),
    ('What is 6*7? Respond with only the number.', '42'),
    ('Say hello.', 'Hello!'),
    ('Which port does the router listen on?', '8900'),
    ('What is the capital of France?', 'Paris'),
    ('Count from 1 to 5.', '1 2 3 4 5'),
    ('Which service restarts what has died?', 'the watchdog'),
    ('Repeat the word: lantern', 'lantern'),
)


def smoke(rng, held: bool):
    return rng.choice(SMOKE)


KINDS = {
    'sum': (arithmetic.total, 25), 'difference': (arithmetic.difference, 20),
    'negative': (arithmetic.negative_difference, 12), 'product': (arithmetic.product, 5),
    'fact': (product.fact, 12), 'capital': (general.capital, 2), 'repeat': (general.repeat, 8),
    'count': (general.count, 3.5), 'calendar': (general.calendar, 1),
    'compare': (general.compare, 2), 'greeting': (general.greeting, 1.5),
    'unknown': (unknown.unknown, 7.5), 'smoke': (smoke, 0.5),
}
NAMES, WEIGHTS = list(KINDS), [weight for _, weight in KINDS.values()]


def sample(rng) -> tuple[str, str]:
    """One trained question and its answer."""
    kind = rng.choices(NAMES, WEIGHTS)[0]
    return KINDS[kind][0](rng, False)
