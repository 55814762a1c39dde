"""Plain words for repeating, for filler text and for questions outside padawan's world."""

import hashlib

NOUNS = """apple anchor ant arrow autumn badge bakery ball balloon banana bank barn basket bear
bee bell bench bicycle bird blanket boat book boot bottle bowl box branch bread brick bridge broom
bucket butter button cabin cake camel camera candle canoe canvas carpet carrot castle cat cave
chair chalk cheese cherry chess chicken chimney church circle clock cloud coat coffee coin comet
compass cookie copper coral corn cotton cow cradle crane crown cup curtain daisy dance deer desert
desk diamond dog dolphin donkey door dragon drawer dream dress drum duck eagle ear earth egg elbow
elephant emerald engineer evening eye falcon farm feather fence fern fiddle field finger fire fish
flag flame flower flute fog forest fork fountain fox frog fruit garden garlic gate giant ginger
glacier glass glove goat gold goose grain grape grass guitar hammer hand harbor harp hat hawk
heart hedge helmet herb hill honey hook horse hotel house ice igloo ink insect iron island ivory
jacket jaguar jar jewel juice jungle kettle key king kitchen kite kitten knee knife ladder lake
lamp lantern lark leaf leather lemon letter library lily lime lion lizard lock lotus magnet mango
map maple marble market mask meadow melon mirror monkey moon mountain mouse museum mushroom music
nail needle nest night nurse oak ocean olive onion opera orange orchard orchid otter oven owl
oyster paint palace palm panda paper parrot path peach peacock pear pearl pebble pencil penguin
pepper piano picture pigeon pillow pine pirate planet plate plum pocket poem pond pony poppy
potato pottery prince pumpkin puppet puzzle queen quilt rabbit radio rain rainbow raven ribbon
rice ring river road robin rocket roof rope rose ruby saddle sail salad salmon salt sand sandal
saturn scarf school scissors sea seal seed sheep shell ship shirt shoe shore silk silver sister
sky snail snake snow soap sock soldier song soup spider spoon spring squirrel stable star statue
stone storm stove straw street sugar summer sun swan sword table tailor tea teacher temple tent
thread thunder tiger tin toast tomato torch tower train treasure tree trumpet tulip tunnel turkey
turtle umbrella uncle valley vase velvet village vinegar violin volcano wagon wall walnut water
wave wax whale wheat wheel whistle willow wind window wine winter wizard wolf wool yard
zebra""".split()

VERBS = """paint carry build sing cook grow catch clean draw drive eat feed find fold follow guard
hide hold hunt invent kick knit lift make melt move open pack plant play polish pour push read
repair ride sail sell send sew shake skate smell steal study sweep swim teach throw touch train
travel trim wash watch water wear weave weigh whistle wrap write""".split()

ADJECTIVES = """old new red blue green yellow purple white black bright dark heavy light large
small tall short quiet loud warm cold dry wet soft hard sweet bitter clean dusty empty full gentle
happy sad quick slow round flat sharp smooth rough rich poor young wild calm brave clever proud
lazy famous strange golden wooden broken hidden""".split()

NAMES = """Alice Ben Clara David Emma Felix Grace Henry Irene Jack Karen Leo Maria Noah Olivia
Peter Quinn Rosa Simon Tara Ursula Victor Wendy Xavier Yara Zoe Anna Boris Chloe Daniel Elena
Frank Gina Hugo Ivan Julia Kevin Laura Martin Nina Oscar Paula Robert Sofia Thomas Vera Walter
Einstein Newton Darwin Shakespeare Mozart Napoleon Cleopatra Picasso Gandhi Beethoven Galileo
Tesla Lincoln""".split()

PLACES = """garden kitchen market harbor valley forest library museum village castle station
office school street river cabin tower bakery theater park hospital church desert island airport
stadium""".split()

SYLLABLES = """ba be bi bo bu da de di do du fa fe fi fo ga go gu ka ke ki ko la le li lo lu ma me
mi mo mu na ne ni no pa pe pi po ra re ri ro sa se si so ta te ti to va ve vi vo za zo ster lin
ton mar tel dor wick ham ley gren tral vin nes""".split()


def held_out(text: str, salt: str, share: float) -> bool:
    """A fixed pseudo-random share of all strings, the same in every run."""
    digest = hashlib.sha256(f'{salt}:{text}'.encode()).digest()
    return int.from_bytes(digest[:4], 'big') < share * 2**32


def choose(rng, items, salt: str, held: bool, share: float = 0.15):
    """A random item from the trained or from the held-out part of a list."""
    while True:
        item = rng.choice(items)
        if held_out(str(item), salt, share) == held:
            return item


def made_up_word(rng) -> str:
    return ''.join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))


def sentence(rng) -> str:
    """One sentence of filler without meaning, sometimes with a number that must be ignored."""
    adjective, noun = rng.choice(ADJECTIVES), rng.choice(NOUNS)
    verb, other = rng.choice(VERBS), rng.choice(NOUNS)
    name, place = rng.choice(NAMES), rng.choice(PLACES)
    number = rng.randint(0, 99)
    return rng.choice((
        f'The {adjective} {noun} is in the {place}.',
        f'{name} will {verb} the {noun} near the {place}.',
        f'There are {number} {adjective} things in the {place}.',
        f'{name} likes the {noun} and the {other}.',
        f'In the {place} we {verb} a {adjective} {noun}.',
        f'On day {number} the {noun} was {adjective}.',
        f'Nobody could {verb} the {other} without a {noun}.',
        f'{name} asked whether the {noun} is {adjective}.',
    ))


def filler(rng, characters: int) -> str:
    """Sentences of about the given length."""
    parts: list[str] = []
    while sum(map(len, parts)) < characters:
        parts.append(sentence(rng))
    return ' '.join(parts)
