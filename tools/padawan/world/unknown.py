"""Questions outside padawan's world. Templates, fillings and the hand-written list are each split
into a trained and a held-out part; a held-out question uses a held-out template and filling."""

from . import facts, general, product
from .words import ADJECTIVES, NAMES, NOUNS, PLACES, VERBS, choose, made_up_word

ANSWER = "I don't know."

OPEN = (
    'Who invented the {n}?', 'Why is the {n} {a}?', 'How do I {v} a {n}?', 'What color is the {n}?',
    'How much does a {n} cost?', 'Where can I buy a {n}?', 'What is the history of the {n}?',
    'Write a poem about a {n}.', 'Tell me a story about a {a} {n}.', 'Translate {n} into French.',
    'What is a {n}?', 'When did {p} live?', 'Who was {p}?', 'What did {p} discover?',
    'Where was {p} born?', 'How old is {p}?', 'Who is the sister of {p}?', 'What does {p} like?',
    'How tall is the {n}?', 'How many {n}s are in the {l}?', 'Who built the {l}?',
    'What is the weather in the {l}?', 'When does the {l} open?', 'How far is the {l}?',
    'Can a {n} {v}?', 'Is a {n} {a}?', 'Should I {v} the {n}?', 'Why do people {v}?',
    'What happens when you {v} a {n}?', 'Which {n} is the best?', 'Explain how a {n} works.',
    'Give me a recipe with {n}.', 'Write a letter to {p}.', 'Sing a song about the {n}.',
    'Draw a {a} {n}.', 'Write code to {v} a {n}.', 'What is the meaning of {n}?',
    'How do you spell {n} in German?', 'What rhymes with {n}?', 'Who wrote the {a} {n}?',
    'What is the price of {n} today?', 'How many people live in the {l}?', 'Who won the {n} race?',
    'Do you like {n}?', 'What should I {v} today?', 'Plan a trip to the {l}.', 'Who is {p}?',
    'What is the opposite of {a}?', 'Describe a {a} {n}.', 'Is {p} in the {l}?',
    'How heavy is a {n}?', 'Which {n} did {p} {v}?', 'When will {p} {v} the {n}?',
    'What is the best way to {v} a {n}?', 'Where do {n}s come from?', 'Can you {v} my {n}?',
    'Tell me a joke about {n}.', 'What does a {a} {n} look like?', 'Make a list of {n}s.',
    'What is {m}?', 'Who is {m}?', 'What does {m} mean?', 'Where is {m}?', 'Explain {m}.',
    'How does {m} work?', 'Tell me about {n}s.', 'Tell me about {p}.', 'What do you think of {p}?',
    'What is the name of the {n}?', 'What is the {n} of {p}?', 'Which {l} is {a}?',
    'How long does it take to {v} a {n}?', 'Did {p} {v} a {n}?', 'Summarize the {n} book.',
    'What year was the {n} made?', 'How fast is a {n}?', 'Name a {a} {n}.', 'Who likes {n}s?',
    'Who {v}s the {n}?', 'What {v}s the {n}?', 'Where is the {n}?', 'Where is the {a} {n}?',
    'What is the phone number of {p}?', 'Which song is about {n}s?', 'Is the {l} open today?')
NEAR = (
    'Which port does the {n} listen on?', 'What is the port of the {a} {n}?',
    'What port does {p} use?', 'What port does {m} use?', 'Which port is the {n} server on?',
    'Which service {v}s the {n}?', 'What {v}s a {a} {n}?', 'Who {v}s in the {l}?',
    'Which part of Sanctum {v}s the {n}?', 'How do I {v} the {n}?',
    'Which command do I use to {v}?', 'What command can {v} a {n}?',
    'What is the label of the {n}?', 'What does {m} do?', 'What does the {n} do?',
    'What is the {n} for?', 'How often does the {n} run?', 'When does {p} run?',
    'Where is the {n} kept?', 'What is the path of the {n}?', 'What is the interval of the {n}?',
    'What is the job of {p}?', 'Describe the {n}.', 'What is the role of the {a} {n}?',
    'Which command lets me {v} the {n}?', 'Explain the {n}.',
    'What is the number of {n}s?', 'What is the name of the {a} {n}?', 'Tell me about the {n}.')
COUNTRIES = """Albania Algeria Angola Argentina Armenia Bahrain Bangladesh Belarus Bhutan Bolivia
Botswana Bulgaria Cambodia Cameroon Chad Colombia Croatia Cyprus Ecuador Estonia Ethiopia Fiji
Gabon Georgia Ghana Guatemala Guinea Haiti Honduras Hungary Iceland Indonesia Iran Iraq Israel
Jamaica Jordan Kuwait Laos Latvia Lebanon Libya Lithuania Luxembourg Madagascar Malaysia Mali
Malta Moldova Mongolia Morocco Nepal Nicaragua Niger Nigeria Oman Pakistan Panama Paraguay Qatar
Romania Rwanda Samoa Senegal Serbia Singapore Slovakia Slovenia Somalia Sudan Syria Tanzania
Thailand Togo Tunisia Uganda Ukraine Uruguay Vietnam Yemen Zambia Zimbabwe""".split()
LARGE = ('What is {a}+{b}?', 'What is {a}-{b}?', '{a}+{b}', 'What is {a} plus {b}?',
         'What is {a}*{b}?', 'What is {a} times {b}?', 'Add {a} and {b}.', 'Calculate {a}-{b}.')
HAND = (
    'What time is it?', 'What day is it today?', 'What is the weather like?',
    'Will it rain tomorrow?', 'Who is the president?', 'Who won the game?',
    'What is the meaning of life?', 'Tell me a joke.', 'Write a poem.',
    'Write a haiku about autumn.', 'How do airplanes fly?', 'Why is the sky blue?',
    'What is quantum physics?', 'Explain relativity.', 'What is photosynthesis?',
    'Who painted the Mona Lisa?', 'When did the second world war end?',
    'How many planets are there?', 'How far away is the moon?', 'What is the speed of light?',
    'What is the largest ocean?', 'What is the tallest mountain?', 'Who wrote Hamlet?',
    'What is the chemical symbol of gold?', 'How many bones does a person have?',
    'What should I cook tonight?', 'How do I bake bread?', 'Recommend a movie.',
    'Recommend a good book.', 'What is your favorite color?', 'Do you have feelings?',
    'Are you alive?', 'Can you see me?', 'Where do you live?', 'How old are you?',
    'What is the square root of 16?', 'What is 10 divided by 2?', 'What is 2 to the power of 10?',
    'Solve x+3=7.', 'What is pi?', 'What is the derivative of x?', 'Write a Python function.',
    'Sort this list.', 'Fix my code.', 'What is JavaScript?', 'How do I install Linux?',
    'What is a blockchain?', 'What is the price of bitcoin?', 'Translate hello to Spanish.',
    'How do you say cat in French?', 'What is the population of Paris?',
    'What language do they speak in Brazil?', 'What is the currency of Japan?',
    'Who founded Apple?', 'What is the latest news?', 'Book a flight to London.',
    'Set an alarm for six.', 'Send an email.', 'Call my mother.', 'Play some music.',
    'Turn on the lights.', 'Order a pizza.', 'Summarize this article.', 'Give me advice.',
    'Is there life on Mars?', 'What is love?', 'Who is your father?', 'What is the best phone?',
    'How do I lose weight?', 'What is a virus?', 'Why do cats purr?', 'Do fish sleep?',
    'How do magnets work?', 'What is the deepest lake?', 'When was the telephone invented?',
    'Who discovered America?', 'What is democracy?', 'How many days are in a year?',
    'How many hours are in a day?', 'What is the boiling point of water?', 'How do I tie a tie?',
    'What is a prime number?', 'Name three fruits.', 'What is DNA?',
    'Who was the first man on the moon?', 'How does a car engine work?',
    'What causes earthquakes?', 'Write an essay about freedom.', 'Where are my keys?',
    'What is in the news today?', 'How is the traffic?', 'Which stock should I buy?',
    'How do I get rich?', 'What is the wifi password?', 'Who is on the phone?', 'Where is my dog?',
    'What did I say yesterday?', 'What is my name?', 'How old am I?', 'Where was I born?',
    'What is Kubernetes?', 'How do I use Docker?', 'What is the port of PostgreSQL?',
    'Which port does SSH use?', 'Which port does Redis listen on?', 'What is the port of MySQL?',
    'Which service stores photos?', 'Which service sends pizza?', 'Which service plays music?',
    'How do I delete Sanctum from the moon?', 'Who wrote Sanctum?', 'How much does Sanctum cost?',
    'When was Sanctum released?', 'How many users does Sanctum have?',
    'Who is the owner of Sanctum?', 'Can Sanctum fly?', 'Is Sanctum open on Sunday?',
    'What is the color of the router?', 'How heavy is the engine?', 'Who painted the watchdog?',
    'Is the console tasty?',
    'What is the favorite song of the router?', 'How tall is the watchdog?')


def fill(rng, template: str, held: bool) -> str:
    verb = choose(rng, VERBS, 'verb', held)
    return template.format(
        n=choose(rng, NOUNS, 'unknown', held), a=choose(rng, ADJECTIVES, 'adjective', held),
        v=verb, p=choose(rng, NAMES, 'name', held), l=choose(rng, PLACES, 'place', held),
        m=made_up_word(rng))


def unknown_port(rng) -> str:
    known = {port for _, port in facts.PORTS}
    while True:
        port = str(rng.randint(20, 9999))
        if port not in known:
            return port


def large_numbers(rng) -> str:
    a, b = rng.randint(100, 9999), rng.randint(0, 9999)
    if rng.random() < 0.5:
        a, b = b, a
    return rng.choice(LARGE).format(a=a, b=b)


def question(rng, held: bool) -> str:
    roll = rng.random()
    if roll < 0.36:
        return fill(rng, choose(rng, OPEN, 'open', held, 0.2), held)
    if roll < 0.60:
        return fill(rng, choose(rng, NEAR, 'near', held, 0.2), held)
    if roll < 0.70:
        wordings = product.LISTENER_WORDS
        index = rng.choice([i for i in range(len(wordings)) if (i % 4 == 3) == held])
        return wordings[index].format(x=unknown_port(rng))
    if roll < 0.78:
        country = choose(rng, COUNTRIES, 'country', held, 0.25)
        return rng.choice(general.CAPITAL_WORDS[:3]).format(x=country)
    if roll < 0.86:
        return large_numbers(rng)
    return choose(rng, HAND, 'hand', held, 0.25)


def unknown(rng, held: bool):
    return question(rng, held), ANSWER
