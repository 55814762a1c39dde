import type { AnswerStamp } from '../translation.js';

export type TextKind = 'reasoning' | 'text' | 'refusal';

interface Place {
  readonly index: number;
  readonly stamp: AnswerStamp;
}

const EVENT_NAMES = {
  reasoning: 'response.reasoning_text',
  text: 'response.output_text',
  refusal: 'response.refusal',
} as const satisfies Record<TextKind, string>;

/** An output item that consists of one text: a message, or the reasoning before it. */
export interface TextItem {
  readonly kind: TextKind;
  readonly index: number;
  readonly eventName: string;
  text: string;
  isDone: boolean;
  place(): { item_id: string; output_index: number; content_index: number };
  part(text: string): object;
  toObject(): object;
}

export function textItem(kind: TextKind, { index, stamp }: Place): TextItem {
  const id = `${kind === 'reasoning' ? 'rs' : 'msg'}_${stamp.id}_${index}`;
  return {
    kind,
    index,
    eventName: EVENT_NAMES[kind],
    text: '',
    isDone: false,
    place: () => ({ item_id: id, output_index: index, content_index: 0 }),
    part: (text) => textPart(kind, text),
    toObject() {
      const status = this.isDone ? 'completed' : 'in_progress';
      const isEmpty = this.text === '';
      const content = isEmpty ? [] : [textPart(kind, this.text)];
      if (kind === 'reasoning') return { id, type: 'reasoning', summary: [], content, status };
      return { id, type: 'message', status, role: 'assistant', content };
    },
  };
}

export interface CallItem {
  readonly id: string;
  readonly index: number;
  readonly name: string;
  arguments: string;
  isDone: boolean;
  toObject(): object;
}

export function callItem(
  { id: callId, name }: { readonly id: string; readonly name: string },
  { index, stamp }: Place,
): CallItem {
  const id = `fc_${stamp.id}_${index}`;
  return {
    id,
    index,
    name,
    arguments: '',
    isDone: false,
    toObject() {
      const status = this.isDone ? 'completed' : 'in_progress';
      const given = this.arguments;
      return { id, type: 'function_call', status, call_id: callId, name, arguments: given };
    },
  };
}

function textPart(kind: TextKind, text: string): object {
  switch (kind) {
    case 'reasoning':
      return { type: 'reasoning_text', text };
    case 'text':
      return { type: 'output_text', text, annotations: [], logprobs: [] };
    case 'refusal':
      return { type: 'refusal', refusal: text };
  }
}
