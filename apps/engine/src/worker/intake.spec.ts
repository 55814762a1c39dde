import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { createChatTemplate, createTokenizer, GREEDY } from '@sanctum/generation';
import type { Prompt, SubmitMessage } from '../protocol.js';
import { Intake, type Prepared } from './intake.js';

const model = new URL('../../../../deploy/models/padawan/', import.meta.url);
const config = readFileSync(new URL('tokenizer_config.json', model), 'utf8');
const tokenizer = createTokenizer(readFileSync(new URL('tokenizer.json', model), 'utf8'), config);
const template = createChatTemplate({ config });

const build = (contextTokensMax = 100_000): Intake =>
  new Intake({ tokenizer, template, contextTokensMax });

function message(id: string, prompt: Prompt): SubmitMessage {
  const options = { sampling: GREEDY, stop: [], ignoreEos: false };
  return { type: 'submit', id, client: 'spec', prompt, options };
}

function advanceAll(intake: Intake): Prepared[] {
  const prepared: Prepared[] = [];
  while (intake.size > 0) {
    const next = intake.advance();
    if (next !== undefined) prepared.push(next);
  }
  return prepared;
}

describe('Intake', () => {
  it('renders, tokenises and hands on what was asked', () => {
    const intake = build();
    const messages = [{ role: 'user' as const, content: 'Hi' }];
    intake.push(message('chat', { kind: 'chat', messages, enableThinking: false }));
    intake.push(message('text', { kind: 'text', text: 'Hi' }));
    intake.push(message('tokens', { kind: 'tokens', tokens: [1, 2] }));
    const prompts = Object.fromEntries(
      advanceAll(intake).map((prepared) => [
        prepared.id,
        'request' in prepared ? prepared.request.promptTokens : prepared.error,
      ]),
    );
    expect(prompts).toEqual({
      chat: tokenizer.encode(template(messages).join('')),
      text: tokenizer.encode('Hi'),
      tokens: Int32Array.of(1, 2),
    });
  });

  it('lets a short prompt pass a long one', () => {
    const intake = build();
    intake.push(message('long', { kind: 'text', text: 'word '.repeat(20_000) }));
    intake.push(message('short', { kind: 'text', text: 'Hi' }));
    expect(intake.has('long')).toBe(true);
    expect(advanceAll(intake).map(({ id }) => id)).toEqual(['short', 'long']);
  });

  it('gives the reason why a prompt is refused', () => {
    const intake = build(10);
    const content = 'word '.repeat(20);
    const messages = [{ role: 'user' as const, content }];
    intake.push(message('text', { kind: 'text', text: content }));
    intake.push(message('chat', { kind: 'chat', messages, enableThinking: false }));
    const exceeds = (param: string): unknown =>
      expect.objectContaining({ code: 'context_length_exceeded', param });
    expect(advanceAll(intake)).toEqual([
      { id: 'text', error: exceeds('prompt') },
      { id: 'chat', error: exceeds('messages') },
    ]);
  });

  it.each([true, false])('sees whether the prompt opens thoughts: %s', (enableThinking) => {
    const intake = build();
    const messages = [{ role: 'user' as const, content: 'Hi' }];
    intake.push(message('a', { kind: 'chat', messages, enableThinking }));
    const [prepared] = advanceAll(intake);
    const request = prepared !== undefined && 'request' in prepared ? prepared.request : undefined;
    expect(request?.opensReasoning ?? false).toBe(enableThinking);
  });

  it('forgets what is cancelled', () => {
    const intake = build();
    intake.push(message('a', { kind: 'text', text: 'Hi' }));
    expect(intake.cancel('a')).toBe(true);
    expect(intake.cancel('a')).toBe(false);
    expect(intake.advance()).toBeUndefined();
  });
});
