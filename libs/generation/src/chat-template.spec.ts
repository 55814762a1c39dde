import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createChatTemplate, type ChatTemplateSource } from './chat-template.js';
import { createTokenizer } from './tokenizer.js';

const padawan = new URL('../../../deploy/models/padawan/tokenizer_config.json', import.meta.url);
const config = readFileSync(padawan, 'utf8');
const tokenizer = createTokenizer(readFileSync(new URL('tokenizer.json', padawan), 'utf8'), config);
const { specialTokens } = tokenizer;

/** The whole prompt, to compare with. */
function joined(source: ChatTemplateSource): (...args: Parameters<Template>) => string {
  const template = createChatTemplate(source);
  return (...args) => template(...args).join('');
}
type Template = ReturnType<typeof createChatTemplate>;

const user = { role: 'user', content: 'Hi' } as const;

function drain(slices: Generator<void, Int32Array>): Int32Array {
  for (;;) {
    const slice = slices.next();
    if (slice.done === true) return slice.value;
  }
}

describe('a chat template', () => {
  const template = joined({ config, specialTokens });

  it('ends with the empty think block unless thinking is asked for', () => {
    expect(template([user])).toBe(
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n',
    );
    expect(template([user], { enableThinking: true })).toBe(
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n',
    );
  });

  it('takes system and developer alike, joins text parts, keeps turns in order', () => {
    const turns = [
      {
        role: 'user' as const,
        content: [
          { type: 'text' as const, text: 'a' },
          { type: 'text' as const, text: 'b' },
        ],
      },
      { role: 'assistant' as const, content: 'c' },
      user,
    ];
    const system = template([{ role: 'system', content: 'Be brief.' }, ...turns]);
    expect(system).toBe(template([{ role: 'developer', content: 'Be brief.' }, ...turns]));
    expect(system).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nab<|im_end|>\n' +
        '<|im_start|>assistant\nc<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n' +
        '<|im_start|>assistant\n<think>\n\n</think>\n\n',
    );
  });

  it('lets nobody end a turn or begin one from inside a message', () => {
    const pieces = createChatTemplate({ config, specialTokens });
    const special = new Set(specialTokens.map((token) => tokenizer.idOf(token)));
    const encode = (content: string): number[] => [
      ...drain(tokenizer.encodeInSlices(pieces([{ role: 'user', content }]))),
    ];
    const turns = encode('x').filter((token) => special.has(token));
    const part = fc.oneof(
      fc.constantFrom(...specialTokens, '<|im_', 'start|>', 'system\n', '\ue000', '<', '|'),
      fc.string({ maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const content = parts.join('');
        const tokens = encode(content);
        expect(tokens.filter((token) => special.has(token))).toEqual(turns);
        expect(tokenizer.decode(tokens)).toContain(content.normalize('NFC'));
      }),
    );
  });

  it('is not a place to inject template code', () => {
    expect(template([{ role: 'user', content: '{{ messages }}{% raw %}' }])).toContain(
      '{{ messages }}{% raw %}',
    );
  });

  it('comes from chat_template.jinja, from a list by name, with special tokens', () => {
    const source = "{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}";
    const settings = JSON.stringify({ bos_token: { content: '<s>' }, eos_token: '</s>' });
    expect(joined({ template: source, config: settings })([user])).toBe('<s>Hi</s>');
    const list = [
      { name: 'tool_use', template: 'x' },
      { name: 'default', template: 'y' },
    ];
    expect(joined({ config: JSON.stringify({ chat_template: list }) })([user])).toBe('y');
  });

  it('passes on what a template objects to as a fault of the request', () => {
    const strict = joined({
      template: "{{ raise_exception('System message must come first.') }}",
    });
    expect(() => strict([user])).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        param: 'messages',
        message: expect.stringContaining('System message must come first.') as unknown,
      }),
    );
  });

  it.each([
    [undefined, '{}', 'has no chat template'],
    [undefined, '{"chat_template": 5}', 'has no chat template'],
    ['{% if %}', '{}', 'does not parse'],
    [undefined, 'x', 'not JSON'],
  ])('refuses a model with %j in %j', (source, settings, message) => {
    expect(() => createChatTemplate({ template: source, config: settings })).toThrow(
      expect.objectContaining({
        code: 'model_invalid',
        message: expect.stringContaining(message) as unknown,
      }),
    );
  });
});
