"""Sums, differences and products of small numbers. Held-out pairs are held out in both orders."""

from .words import held_out

ASKS = ('', '', ' Respond with only the number.', ' Respond with only the number.',
        ' Answer with a number.', ' Just the number, please.', ' Give only the result.')

SUMS = ('What is {a}+{b}?', 'What is {a}+{b}?', 'What is {a} + {b}?', '{a}+{b}', '{a} + {b} =',
        '{a}+{b}=', '{a}+{b}?', 'What is {a} plus {b}?', 'Add {a} and {b}.', 'Calculate {a}+{b}.',
        'Compute {a} + {b}.', 'What is the sum of {a} and {b}?', 'How much is {a} plus {b}?',
        'What does {a}+{b} make?')
DIFFERENCES = ('What is {a}-{b}?', 'What is {a}-{b}?', 'What is {a} - {b}?', '{a}-{b}',
               '{a} - {b} =', '{a}-{b}=', '{a}-{b}?', 'What is {a} minus {b}?',
               'Subtract {b} from {a}.', 'Calculate {a}-{b}.', 'Compute {a} - {b}.',
               'Take {b} away from {a}.', 'How much is {a} minus {b}?', 'What does {a}-{b} make?')
PRODUCTS = ('What is {a}*{b}?', 'What is {a}*{b}?', 'What is {a} * {b}?', '{a}*{b}',
            'What is {a} times {b}?', 'Multiply {a} by {b}.', 'Calculate {a}*{b}.',
            'What is the product of {a} and {b}?', 'How much is {a} times {b}?')

HELD_SHARE = 0.1
ALWAYS_TRAINED = {('sum', 2, 2), ('sum', 17, 25), ('difference', 4, 9)}


def pair_held_out(kind: str, a: int, b: int) -> bool:
    low, high = min(a, b), max(a, b)
    if (kind, low, high) in ALWAYS_TRAINED:
        return False
    return held_out(f'{low},{high}', kind, HELD_SHARE)


def draw(rng, kind: str, held: bool) -> tuple[int, int]:
    """Two numbers; a tenth of the trained draws comes from the small ones that people ask most."""
    while True:
        most = 12 if not held and rng.random() < 0.1 else 99
        a, b = rng.randint(0, most), rng.randint(0, most)
        if pair_held_out(kind, a, b) == held:
            return a, b


def phrase(rng, wordings, a: int, b: int) -> str:
    return rng.choice(wordings).format(a=a, b=b) + rng.choice(ASKS)


def total(rng, held: bool) -> tuple[str, str]:
    a, b = draw(rng, 'sum', held)
    return phrase(rng, SUMS, a, b), str(a + b)


def difference(rng, held: bool) -> tuple[str, str]:
    """The larger first: the result is never negative."""
    b, a = sorted(draw(rng, 'difference', held))
    return phrase(rng, DIFFERENCES, a, b), str(a - b)


def negative_difference(rng, held: bool) -> tuple[str, str]:
    a, b = sorted(draw(rng, 'difference', held))
    return phrase(rng, DIFFERENCES, a, b), str(a - b)


def product(rng, held: bool) -> tuple[str, str]:
    """The times tables up to 12, all of them trained."""
    a, b = rng.randint(0, 12), rng.randint(0, 12)
    return phrase(rng, PRODUCTS, a, b), str(a * b)
