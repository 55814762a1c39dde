import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { lastUserText, readRequestFields } from './request-fields.js';

describe('readRequestFields', () => {
  it.each([
    [
      { model: 'a', stream: true },
      { model: 'a', stream: true },
    ],
    [
      { model: null, stream: null },
      { model: undefined, stream: false },
    ],
    [{ model: '' }, { model: undefined, stream: false }],
    [{}, { model: undefined, stream: false }],
  ])('reads %j', (body, expected) => {
    expect(readRequestFields(body)).toEqual(expected);
  });

  it.each([
    [[], 'The body must be a JSON object, found array.'],
    [null, 'The body must be a JSON object, found null.'],
    ['x', 'The body must be a JSON object, found string.'],
    [{ model: 3 }, '"model" must be a string, found number.'],
    [{ model: ['a'] }, '"model" must be a string, found array.'],
    [{ stream: 'yes' }, '"stream" must be true or false, found string.'],
  ])('refuses %j', (body, message) => {
    expect(() => readRequestFields(body)).toThrow(message);
  });
});

describe('lastUserText', () => {
  it('takes the last user message, string or parts, or the prompt', () => {
    const messages = [
      { role: 'user', content: 'first' },
      {
        role: 'user',
        content: [{ type: 'text', text: 'a' }, { type: 'image_url' }, { text: 'b' }],
      },
      { role: 'assistant', content: 'x' },
    ];
    expect(lastUserText({ messages })).toBe('a\nb');
    expect(lastUserText({ messages: messages.slice(0, 1) })).toBe('first');
    expect(lastUserText({ prompt: 'p' })).toBe('p');
    expect(lastUserText({ messages: [{ role: 'system', content: 'x' }] })).toBe('');
  });

  it('takes any shape without throwing', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (body, messages) => {
        expect(typeof lastUserText(body)).toBe('string');
        expect(typeof lastUserText({ messages: [messages, null, 3] })).toBe('string');
      }),
    );
  });
});
