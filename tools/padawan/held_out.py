"""Write a sample of the examination as chat messages: python held_out.py > held-out.jsonl

For tests of the engine that want questions padawan has not seen, such as perplexity and greedy
agreement of one compute mode against another.
"""

import json
import random

import exam
from world import conversation

PER_SECTION = 40
IN_CONTEXT = 60


def messages_of(system, pairs, question: str) -> list[dict]:
    out = [{'role': 'system', 'content': system}] if system else []
    for asked, answered in pairs:
        out += [{'role': 'user', 'content': asked}, {'role': 'assistant', 'content': answered}]
    return out + [{'role': 'user', 'content': question}]


def lines():
    rng = random.Random(exam.SEED + 3)
    for section, asked in exam.sections().items():
        for question, answer in rng.sample(asked, min(PER_SECTION, len(asked))):
            yield section, messages_of(None, [], question), answer
    for question, answer in rng.sample(exam.context_questions(), IN_CONTEXT):
        turns = [conversation.turn(rng, False) for _ in range(rng.randint(1, 8))]
        system = conversation.system_prompt(rng, True)
        yield 'in context', messages_of(system, turns, question), answer


def main() -> None:
    for section, messages, answer in lines():
        print(json.dumps({'section': section, 'messages': messages, 'answer': answer},
                         ensure_ascii=False))


if __name__ == '__main__':
    main()
