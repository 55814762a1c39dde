import type { AnswerStamp, AnswerStream } from './translation.js';

export const STAMP: AnswerStamp = { id: 'a1', createdS: 1_700_000_000, model: 'asked' };

export interface NamedEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A chat chunk as the data of its event. */
export function chunk(delta: object, finish: string | null = null, rest: object = {}): string {
  const choices = [{ index: 0, delta, finish_reason: finish }];
  return JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    model: 'said',
    choices,
    ...rest,
  });
}

export const USAGE = {
  prompt_tokens: 12,
  completion_tokens: 8,
  total_tokens: 20,
  prompt_tokens_details: { cached_tokens: 4 },
};

/** All events of a stream that is fed these data; each event must be framed as SSE by its type. */
export function eventsOf(stream: AnswerStream, data: readonly string[]): NamedEvent[] {
  const text = data.map((piece) => stream.push(piece)).join('') + stream.end();
  return readEvents(text);
}

export function readEvents(text: string): NamedEvent[] {
  const frames = text.split('\n\n');
  if (frames.pop() !== '') throw new Error('The stream does not end with a blank line.');
  return frames.map((frame) => {
    const [, name, json = ''] = /^event: (\S+)\ndata: (.*)$/.exec(frame) ?? [];
    const event = JSON.parse(json) as NamedEvent;
    if (event.type !== name) throw new Error(`${String(name)} is named ${event.type} in its data.`);
    return event;
  });
}
