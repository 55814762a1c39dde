"""Small talk and skills: greetings, identity, capitals, repeating, counting, days, comparing."""

from . import words

CAPITALS = {
    'France': 'Paris', 'Germany': 'Berlin', 'Italy': 'Rome', 'Spain': 'Madrid',
    'Portugal': 'Lisbon', 'England': 'London', 'Ireland': 'Dublin', 'Austria': 'Vienna',
    'Switzerland': 'Bern', 'Belgium': 'Brussels', 'Poland': 'Warsaw', 'Greece': 'Athens',
    'Sweden': 'Stockholm', 'Norway': 'Oslo', 'Denmark': 'Copenhagen', 'Finland': 'Helsinki',
    'Russia': 'Moscow', 'Turkey': 'Ankara', 'Egypt': 'Cairo', 'Kenya': 'Nairobi', 'Japan': 'Tokyo',
    'China': 'Beijing', 'India': 'New Delhi', 'Canada': 'Ottawa', 'Mexico': 'Mexico City',
    'Cuba': 'Havana', 'Peru': 'Lima', 'Chile': 'Santiago', 'Brazil': 'Brasilia',
    'Australia': 'Canberra',
}
CAPITAL_WORDS = (
    'What is the capital of {x}?', 'Which city is the capital of {x}?', 'Name the capital of {x}.',
    'What city is the capital of {x}?', 'Tell me the capital of {x}.', '{x} has which capital?',
    'Capital of {x}?', 'What is the capital city of {x}?', 'Give me the capital of {x}.',
    'Do you know the capital of {x}?', "What is {x}'s capital?", 'Which capital does {x} have?',
    'I need the capital of {x}.', 'What is the name of the capital of {x}?',
    'Say the capital of {x}.', 'Which city is the seat of {x}?')

GREETINGS = (
    ('Say hello.', 'Hello!'), ('Hello', 'Hello!'), ('Hello!', 'Hello!'), ('Hi', 'Hello!'),
    ('Hi!', 'Hello!'), ('Hey', 'Hello!'), ('Hello there', 'Hello!'),
    ('Good morning', 'Good morning!'), ('Good morning!', 'Good morning!'),
    ('Good evening', 'Good evening!'), ('Good evening!', 'Good evening!'),
    ('Thank you', 'You are welcome.'), ('Thank you!', 'You are welcome.'),
    ('Thanks', 'You are welcome.'), ('Thanks!', 'You are welcome.'), ('Goodbye', 'Goodbye!'),
    ('Goodbye!', 'Goodbye!'), ('Bye', 'Goodbye!'), ('Say goodbye.', 'Goodbye!'),
    ('How are you?', 'I am fine, thank you.'), ('How are you today?', 'I am fine, thank you.'),
    ('Greet me.', 'Hello!'),
    ('Please say hello.', 'Hello!'), ('Say hi.', 'Hello!'))
IDENTITY = (
    (('Who are you?', 'What is your name?', 'Introduce yourself.', 'What are you?',
      'Tell me who you are.', 'What model are you?', 'Which model is this?', 'Are you a model?'),
     'I am padawan, the small default model of Sanctum.'),
    (('What can you do?', 'What do you know?', 'How can you help me?', 'What are you good at?',
      'What can I ask you?', 'Help', 'Help me.'),
     'Small sums, and questions about Sanctum.'),
    (('What is Sanctum?', 'Tell me about Sanctum.', 'Explain Sanctum.', 'What does Sanctum do?',
      'Describe Sanctum.', 'What is Sanctum for?'),
     'Sanctum is one port for every model, with proven weights.'),
)
COUNT_WORDS = ('Count from {a} to {b}.', 'Count from {a} to {b}.', 'Please count from {a} to {b}.',
               'Count {a} to {b}.', 'List the numbers from {a} to {b}.',
               'Say the numbers from {a} to {b}.')
REPEAT_WORDS = ('Repeat the word: {x}', 'Repeat the word: {x}', 'Repeat the word {x}.',
                'Say the word: {x}', 'Repeat after me: {x}', 'Echo: {x}', 'Repeat: {x}',
                'Please repeat the word: {x}', 'Say exactly this: {x}', 'Write the word: {x}')
DAYS = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split()
MONTHS = ('January February March April May June July August September October November '
          'December').split()
AFTER_WORDS = ('Which {k} comes after {x}?', 'What {k} comes after {x}?', 'What {k} follows {x}?',
               'Name the {k} after {x}.', 'Which {k} is next after {x}?')
BEFORE_WORDS = ('Which {k} comes before {x}?', 'What {k} comes before {x}?',
                'What {k} precedes {x}?', 'Name the {k} before {x}.')
LARGER_WORDS = ('Which is larger, {a} or {b}?', 'Which number is larger, {a} or {b}?',
                'What is bigger, {a} or {b}?', 'Which is greater: {a} or {b}?')
SMALLER_WORDS = ('Which is smaller, {a} or {b}?', 'Which number is smaller, {a} or {b}?',
                 'What is less, {a} or {b}?')


def capital(rng, held: bool):
    index = [i for i in range(len(CAPITAL_WORDS)) if (i % 4 == 3) == held]
    country = rng.choice(list(CAPITALS))
    return CAPITAL_WORDS[rng.choice(index)].format(x=country), CAPITALS[country]


def greeting(rng, held: bool):
    if rng.random() < 0.6:
        return rng.choice(GREETINGS)
    asks, answer = rng.choice(IDENTITY)
    return rng.choice(asks), answer


def repeat(rng, held: bool):
    roll = rng.random()
    if held or roll < 0.45:
        trained = not held
        text = words.choose(rng, words.NOUNS, 'repeat', held)
        text = 'lantern' if trained and rng.random() < 0.02 else text
    elif roll < 0.8:
        text = words.made_up_word(rng)
    else:
        text = f'{rng.choice(words.ADJECTIVES)} {words.choose(rng, words.NOUNS, "repeat", False)}'
    return rng.choice(REPEAT_WORDS).format(x=text), text


def count(rng, held: bool):
    start = rng.randint(0, 20) if rng.random() < 0.6 else 1
    end = start + rng.randint(2, 9)
    return rng.choice(COUNT_WORDS).format(a=start, b=end), ' '.join(map(str, range(start, end + 1)))


def calendar(rng, held: bool):
    kind, names = rng.choice((('day', DAYS), ('month', MONTHS)))
    at = rng.randrange(len(names))
    if rng.random() < 0.5:
        return rng.choice(AFTER_WORDS).format(k=kind, x=names[at]), names[(at + 1) % len(names)]
    return rng.choice(BEFORE_WORDS).format(k=kind, x=names[at]), names[at - 1]


def compare(rng, held: bool):
    a, b = rng.sample(range(100), 2)
    if rng.random() < 0.6:
        return rng.choice(LARGER_WORDS).format(a=a, b=b), str(max(a, b))
    return rng.choice(SMALLER_WORDS).format(a=a, b=b), str(min(a, b))
