"""Where a question stands: alone, under a system prompt, after other turns, behind long text."""

from . import mix, words

SYSTEM = (
    'You are a helpful assistant.', 'You are padawan.', 'You are a helpful assistant. Be brief.',
    'Answer briefly.', 'You are the assistant of Sanctum.', 'Be concise and honest.',
    'You answer questions about Sanctum.', 'Respond in one line.',
    'You are a calm operator assistant.', 'You are an AI assistant. Answer the question.',
    'Keep your answers short.', 'Answer with facts only.',
    'You are a careful assistant who never guesses.', 'You help the operator of Sanctum.',
    'You are a friendly assistant.', 'Do not explain.', 'You are a test model. Answer exactly.',
    'The user is an operator. Be precise.',
    'You are a helpful, harmless and honest assistant.', 'Answer as well as you can.')
SYSTEM_HELD = (
    'You are an assistant that answers in few words.', 'Give correct and short answers.',
    'You are a polite and precise helper.', 'You work for the operator of this machine.',
    'Please be honest when you answer.', 'You are a small model inside Sanctum.')
CONTRACTIONS = (('What is', "What's"), ('Where is', "Where's"), ('Who is', "Who's"),
                ('what is', "what's"), ('where is', "where's"), ('do not', "don't"))
BEFORE = ('Please answer: ', 'Quick question: ', 'Tell me: ', 'Question: ', 'Hey, ', 'Hello! ',
          'So, ')
AFTER = (' Please.', ' Thanks.', ' Be brief.', ' Answer briefly.', ' I forgot.', ' Keep it short.')
HOLD = ('Read this: ', 'Remember this text: ', 'Here are some notes. ', 'Keep this in mind: ',
        'Note: ')
HOLD_ANSWER = 'OK.'
INLINE = ('{text}\n\n{question}', 'Context: {text}\n\nQuestion: {question}', '{text} {question}')


def system_prompt(rng, held: bool) -> str:
    text = rng.choice(SYSTEM_HELD if held else SYSTEM)
    if rng.random() < 0.2:
        text += f' Your user is {rng.choice(words.NAMES)}.'
    return text


def surface(rng, question: str) -> str:
    """People write contractions, forget capitals and question marks, and add a word or two."""
    roll = rng.random()
    if roll < 0.05 and ':' not in question:
        question = question.lower()
    if 0.03 < roll < 0.08 and question[-1] in '?.':
        question = question[:-1]
    if 0.08 < roll < 0.14:
        for full, short in CONTRACTIONS:
            question = question.replace(full, short)
    if 0.14 < roll < 0.17 and question[-1] in '?.':
        question = rng.choice(BEFORE) + question
    if 0.17 < roll < 0.20 and question[-1] in '?.':
        question = question + rng.choice(AFTER)
    return question


def held_text(rng, characters: int):
    """A turn that only hands over text."""
    return rng.choice(HOLD) + words.filler(rng, characters), HOLD_ANSWER


def turn(rng, trained_surface: bool = True):
    question, answer = mix.sample(rng)
    return (surface(rng, question) if trained_surface else question), answer


def behind_text(rng, question: str, characters: int) -> str:
    return rng.choice(INLINE).format(text=words.filler(rng, characters), question=question)


def conversation(rng, turns: int, filler_characters: int):
    """A trained conversation: (system or None, [(question, answer), ...])."""
    system = system_prompt(rng, False) if rng.random() < 0.4 else None
    if system and filler_characters and rng.random() < 0.3:
        system += ' ' + words.filler(rng, filler_characters)
        filler_characters = 0
    pairs = [turn(rng) for _ in range(turns)]
    if filler_characters:
        if turns > 1 and rng.random() < 0.6:
            pairs[rng.randrange(turns - 1)] = held_text(rng, filler_characters)
        else:
            question, answer = pairs[-1]
            pairs[-1] = behind_text(rng, question, filler_characters), answer
    return system, pairs
