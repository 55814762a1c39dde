"""Questions about Sanctum: facts joined with wordings.

Every fourth wording of a relation is held out of training, and the last phrase of every subject
that has at least three. A held-out question uses a held-out wording, a held-out phrase, or both.
"""

from dataclasses import dataclass

from . import facts

ROLE_WORDS = (
    'What does {x} do?', 'What is the job of {x}?', 'What is {x} for?', 'What is the role of {x}?',
    'Tell me what {x} does.', 'Explain {x}.', 'What is the purpose of {x}?', 'Describe {x}.',
    'Why does Sanctum have {x}?', 'What work does {x} do?', 'What is {x} responsible for?',
    'What task does {x} have?', 'Describe the job of {x}.', 'What is the function of {x}?',
    'Tell me about {x}.', 'What duty has {x}?', 'What do I need {x} for?', 'Why is there {x}?',
    'Say in one sentence what {x} does.', 'What good is {x}?')
PORT_WORDS = (
    'Which port does {x} listen on?', 'What port does {x} use?', 'What is the port of {x}?',
    'On which port is {x}?', 'Which port is {x} on?', 'What port is used by {x}?',
    'Tell me the port of {x}.', 'Where does {x} listen?', 'What port number does {x} have?',
    'Which port belongs to {x}?', 'Give me the port number of {x}.',
    'At which port can I reach {x}?', 'Port of {x}?', 'What is the port number for {x}?',
    'Which port serves {x}?', 'I need the port for {x}.', 'On what port does {x} run?',
    'Name the port of {x}.',
    'Which port should I open for {x}?', 'What number is the port of {x}?')
LISTENER_WORDS = (
    'What listens on port {x}?', 'Which service is on port {x}?', 'What runs on port {x}?',
    'Who uses port {x}?', 'Which service listens on {x}?', 'What is on port {x}?',
    'Tell me what uses port {x}.', 'What can I find on port {x}?', 'What is behind port {x}?',
    'Port {x} belongs to what?', 'Which service has port {x}?', 'Who listens on {x}?',
    'Name the service on port {x}.', 'What answers on port {x}?', 'Which program holds port {x}?',
    'What service do I reach on {x}?', 'Port {x} is for what?', 'What is port {x} used for?')
DUTY_WORDS = (
    'Which service {x}?', 'What {x}?', 'Who {x}?', 'Which part of Sanctum {x}?',
    'Name the service that {x}.', 'What is it that {x}?', 'Which component {x}?',
    'Tell me which service {x}.', 'Tell me what {x}.', 'Give the name of what {x}.',
    'In Sanctum, what {x}?', 'What is the thing that {x} called?', 'Name what {x}.',
    'Which of the services {x}?', 'What in Sanctum {x}?', 'Do you know who {x}?',
    'Which one {x}?', 'What is the name of the service that {x}?', 'Say what {x}.',
    'I want to know which service {x}.')
LABEL_WORDS = (
    'What is the LaunchAgent label of {x}?', 'Which label does {x} have?',
    'What is the launchd label of {x}?', 'What label is used for {x}?', 'Give me the label of {x}.',
    'Under which label does {x} run?', 'Tell me the LaunchAgent label of {x}.', 'Label of {x}?',
    'Which LaunchAgent belongs to {x}?', 'What is {x} called in launchd?',
    'Which launchd label has {x}?', 'How is {x} labelled?', 'I need the label for {x}.',
    'Name the LaunchAgent of {x}.', 'What is the label for {x}?', 'What does launchd call {x}?')
COMMAND_WORDS = (
    'How do I {x}?', 'Which command do I use to {x}?', 'What command can {x}?', 'How can I {x}?',
    'I want to {x}. Which command?', 'What do I type to {x}?', 'Tell me how to {x}.',
    'Give me the command to {x}.', 'What is the command to {x}?', 'Which command lets me {x}?',
    'Show me how to {x}.', 'How does one {x}?', 'What should I run to {x}?', 'Command to {x}?',
    'I need to {x}. What do I run?', 'With which command can I {x}?', 'How would I {x}?',
    'Please help me {x}.', 'What must I enter to {x}?', 'Name the command to {x}.')
PLACE_WORDS = (
    'Where is {x}?', 'Where do I find {x}?', 'What is the path of {x}?', 'In which file is {x}?',
    'Where does Sanctum keep {x}?', 'What is the location of {x}?', 'Tell me where {x} is.',
    'Where can I find {x}?', 'Which path has {x}?', 'Give me the path of {x}.', 'Path of {x}?',
    'Where should I look for {x}?', 'I am looking for {x}. Where is it?', 'Where is {x} stored?',
    'Which path leads to {x}?', 'Where is {x} kept?', 'Where do you keep {x}?',
    'Name the path of {x}.')
INTERVAL_WORDS = (
    'How often does {x} run?', 'When does {x} run?', 'What is the interval of {x}?',
    'How frequently does {x} run?', 'Tell me how often {x} runs.', 'What is the schedule of {x}?',
    'At what interval does {x} run?', 'What is the period of {x}?', 'How often is {x} started?',
    'When is {x} started?', 'On which schedule is {x}?', 'How often can I expect {x}?',
    'Give me the interval of {x}.', 'Interval of {x}?', 'How much time is between runs of {x}?',
    'Name the schedule of {x}.')
VALUE_WORDS = (
    'What is {x}?', 'Tell me {x}.', 'Give me {x}.', 'Do you know {x}?', 'Name {x}.',
    'What would be {x}?', 'I need {x}.', 'Can you tell me {x}?', 'Please state {x}.',
    'In Sanctum, what is {x}?', 'Say {x}.', 'I want to know {x}.', 'Which is {x}?',
    'What do you know about {x}?', 'I forgot {x}. What is it?', 'Remind me of {x}.')


@dataclass(frozen=True)
class Relation:
    name: str
    wordings: tuple[str, ...]
    items: tuple[tuple[tuple[str, ...], str], ...]


def _listeners():
    named = {'1337': 'the engine', '1338': 'the engine'}
    return tuple(((port,), named.get(port, phrases[0])) for phrases, port in facts.PORTS)


RELATIONS = (
    Relation('port', PORT_WORDS, facts.PORTS),
    Relation('listener', LISTENER_WORDS, _listeners()),
    Relation('duty', DUTY_WORDS, facts.DUTIES),
    Relation('role', ROLE_WORDS, facts.ROLES),
    Relation('label', LABEL_WORDS, facts.LABELS),
    Relation('command', COMMAND_WORDS, facts.COMMANDS),
    Relation('place', PLACE_WORDS, facts.PLACES),
    Relation('interval', INTERVAL_WORDS, facts.INTERVALS),
    Relation('value', VALUE_WORDS, facts.VALUES),
)
SMOKE = {'Which port does the router listen on?', 'Which service restarts what has died?'}


def questions(relation: Relation):
    """Every (question, answer, held wording, held phrase) of a relation."""
    for phrases, answer in relation.items:
        for place, phrase in enumerate(phrases):
            phrase_held = len(phrases) >= 3 and place == len(phrases) - 1
            for index, wording in enumerate(relation.wordings):
                yield wording.format(x=phrase), answer, index % 4 == 3, phrase_held


def split():
    """(trained, new wording, new phrase, both new), each {relation: [(question, answer)]}."""
    parts: tuple[dict, ...] = ({}, {}, {}, {})
    for relation in RELATIONS:
        for part in parts:
            part[relation.name] = []
        for question, answer, wording_held, phrase_held in questions(relation):
            parts[wording_held + 2 * phrase_held][relation.name].append((question, answer))
    return parts


TRAINED, NEW_WORDING, NEW_PHRASE, BOTH_NEW = split()
WEIGHTS = {relation.name: len(relation.items) for relation in RELATIONS}


def fact(rng, held: bool) -> tuple[str, str]:
    name = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    part = rng.choice((NEW_WORDING, NEW_PHRASE, BOTH_NEW)) if held else TRAINED
    return rng.choice(part[name] or NEW_WORDING[name])
