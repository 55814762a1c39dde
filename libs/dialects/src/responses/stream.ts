import type { ErrorEnvelope } from '@sanctum/errors';
import type { ChatPiece } from '../chat-answer.js';
import type { PieceSink, StreamEnd } from '../chat-stream.js';
import { ToolCallBook, type ToolCallNews } from '../tool-calls.js';
import { namedEvent, type AnswerStamp } from '../translation.js';
import { callItem, textItem, type CallItem, type TextItem, type TextKind } from './items.js';
import type { ResponsesRequest } from './request-schema.js';
import { responseObject, type ResponseState } from './response.js';

/** Chat chunks as the events of a response, numbered from 0. */
export class ResponsesEvents implements PieceSink {
  readonly #request: ResponsesRequest;
  readonly #stamp: AnswerStamp;
  readonly #calls: ToolCallBook;
  readonly #items: (TextItem | CallItem)[] = [];
  readonly #openCalls = new Map<number, CallItem>();
  #openText: TextItem | undefined;
  #sequence = 0;
  #model: string | undefined;

  constructor(request: ResponsesRequest, stamp: AnswerStamp) {
    this.#request = request;
    this.#stamp = stamp;
    this.#calls = new ToolCallBook((ordinal) => `call_${stamp.id}_${ordinal}`);
  }

  onPiece(piece: ChatPiece): string {
    let out = this.#start(piece.model);
    if (piece.reasoning !== '') out += this.#say('reasoning', piece.reasoning);
    if (piece.content !== '') out += this.#say('text', piece.content);
    if (piece.refusal !== '') out += this.#say('refusal', piece.refusal);
    for (const call of piece.toolCalls) {
      const news = this.#calls.push(call);
      if (news !== undefined) out += this.#call(news);
    }
    return out;
  }

  onEnd({ finish, usage }: StreamEnd): string {
    let out = this.#start(undefined) + this.#closeText();
    for (const item of this.#openCalls.values()) out += this.#done(item);
    const incomplete = incompleteReason(finish);
    const status = incomplete === undefined ? 'completed' : 'incomplete';
    out += this.#event(`response.${status}`, {
      response: this.#response({ status, incomplete, usage }),
    });
    return out;
  }

  onFailure({ message }: ErrorEnvelope['error']): string {
    const error = { code: 'server_error', message };
    return (
      this.#start(undefined) +
      this.#event('response.failed', { response: this.#response({ status: 'failed', error }) })
    );
  }

  #start(model: string | undefined): string {
    this.#model ??= model;
    if (this.#sequence > 0) return '';
    const response = this.#response({ status: 'in_progress' });
    return (
      this.#event('response.created', { response }) +
      this.#event('response.in_progress', { response })
    );
  }

  #say(kind: TextKind, text: string): string {
    const open = this.#openText;
    if (open?.kind === kind) return this.#textDelta(open, text);
    let out = this.#closeText();
    const item = textItem(kind, { index: this.#items.length, stamp: this.#stamp });
    this.#items.push(item);
    this.#openText = item;
    out += this.#added(item);
    out += this.#event('response.content_part.added', { ...item.place(), part: item.part('') });
    return out + this.#textDelta(item, text);
  }

  #textDelta(item: TextItem, text: string): string {
    item.text += text;
    const logprobs = item.kind === 'text' ? { logprobs: [] } : {};
    return this.#event(`${item.eventName}.delta`, { ...item.place(), delta: text, ...logprobs });
  }

  #closeText(): string {
    const item = this.#openText;
    if (item === undefined) return '';
    this.#openText = undefined;
    item.isDone = true;
    const { text } = item;
    const whole = item.kind === 'refusal' ? { refusal: text } : { text };
    const logprobs = item.kind === 'text' ? { logprobs: [] } : {};
    return (
      this.#event(`${item.eventName}.done`, { ...item.place(), ...whole, ...logprobs }) +
      this.#event('response.content_part.done', { ...item.place(), part: item.part(text) }) +
      this.#itemDone(item)
    );
  }

  #call({ ordinal, opened, arguments: text }: ToolCallNews): string {
    let out = '';
    if (opened !== undefined) {
      out += this.#closeText();
      const item = callItem(opened, { index: this.#items.length, stamp: this.#stamp });
      this.#items.push(item);
      this.#openCalls.set(ordinal, item);
      out += this.#added(item);
    }
    const item = this.#openCalls.get(ordinal);
    if (item === undefined || text === '') return out;
    item.arguments += text;
    const delta = { item_id: item.id, output_index: item.index, delta: text };
    return out + this.#event('response.function_call_arguments.delta', delta);
  }

  #done(item: CallItem): string {
    item.isDone = true;
    const { id, index, name, arguments: given } = item;
    const done = { item_id: id, output_index: index, name, arguments: given };
    return this.#event('response.function_call_arguments.done', done) + this.#itemDone(item);
  }

  #added(item: TextItem | CallItem): string {
    const at = { output_index: item.index, item: item.toObject() };
    return this.#event('response.output_item.added', at);
  }

  #itemDone(item: TextItem | CallItem): string {
    const at = { output_index: item.index, item: item.toObject() };
    return this.#event('response.output_item.done', at);
  }

  #response(state: Omit<ResponseState, 'output' | 'model'>): object {
    const output = this.#items.map((item) => item.toObject());
    return responseObject(this.#request, this.#stamp, { ...state, output, model: this.#model });
  }

  #event(type: string, fields: object): string {
    return namedEvent(type, { sequence_number: this.#sequence++, ...fields });
  }
}

export function incompleteReason(finish: ChatPiece['finish']): ResponseState['incomplete'] {
  if (finish === 'length') return 'max_output_tokens';
  return finish === 'content_filter' ? 'content_filter' : undefined;
}
