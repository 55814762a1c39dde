"""padawan's tokenizer: a small byte-level BPE with Qwen's pre-tokenizer, specials and chat form."""

import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

from world import conversation, mix, words

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|"
         r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ('<|endoftext|>', '<|im_start|>', '<|im_end|>')
ADDED = ('<tool_call>', '</tool_call>', '<tool_response>', '</tool_response>', '<think>',
         '</think>')
CORPUS_TURNS = 60_000
CORPUS_SENTENCES = 6_000


def corpus(seed: int):
    rng = random.Random(seed)
    for _ in range(CORPUS_TURNS):
        yield from mix.sample(rng)
    for _ in range(CORPUS_SENTENCES):
        yield words.sentence(rng)
        yield conversation.system_prompt(rng, False)
        yield 'system\n\nuser\n\nassistant\n\n'


def train(vocab: int, seed: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior='isolated'),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - len(SPECIAL) - len(ADDED), special_tokens=[], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(seed), trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in ADDED])
    if tokenizer.get_vocab_size() != vocab:
        raise ValueError(f'vocabulary has {tokenizer.get_vocab_size()} tokens, expected {vocab}')
    return tokenizer


def load_or_train(path: Path, vocab: int, seed: int) -> Tokenizer:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        train(vocab, seed).save(str(path), pretty=False)
    return Tokenizer.from_file(str(path))


class ChatCoder:
    """Conversations to token ids, exactly as the shipped chat template renders them."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.system = self.ids('<|im_start|>system\n')
        self.user = self.ids('<|im_start|>user\n')
        self.turn = self.ids('<|im_end|>\n')
        self.past = self.ids('<|im_start|>assistant\n')
        self.open = self.ids('<|im_start|>assistant\n<think>\n\n</think>\n\n')
        self.end = tokenizer.token_to_id('<|im_end|>')

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text).ids

    def prompt(self, system, pairs, question) -> list[int]:
        """Everything up to where the model starts to answer the last question."""
        out = self.system + self.ids(system) + self.turn if system else []
        for asked, answered in pairs:
            out = out + self.user + self.ids(asked) + self.turn
            out = out + self.past + self.ids(answered) + self.turn
        return out + self.user + self.ids(question) + self.turn + self.open

    def conversation(self, system, pairs) -> tuple[list[int], list[int]]:
        """(tokens, places): places index the tokens that the model has to say itself."""
        out = self.system + self.ids(system) + self.turn if system else []
        places: list[int] = []
        for index, (question, answer) in enumerate(pairs):
            head = self.open if index == len(pairs) - 1 else self.past
            out = out + self.user + self.ids(question) + self.turn + head
            said = self.ids(answer) + [self.end]
            places += range(len(out), len(out) + len(said))
            out = out + said + self.turn[1:]
        return out, places
