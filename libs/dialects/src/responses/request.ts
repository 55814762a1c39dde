import { parseDialect } from '../parse-dialect.js';
import { present } from '../present.js';
import type { ChatBody } from '../translation.js';
import {
  RESPONSES_REASONS,
  responsesRequestSchema,
  type InputItem,
  type InputMessage,
  type InputPart,
  type ResponsesRequest,
} from './request-schema.js';

/**
 * Reads a body of `POST /v1/responses`. Throws `unsupported` with `param` for what a chat completion
 * cannot express and `invalid_request` for what is malformed.
 */
export function parseResponsesRequest(body: unknown): ResponsesRequest {
  return parseDialect(responsesRequestSchema, body, RESPONSES_REASONS);
}

/** The same request as a body of `/v1/chat/completions`. */
export function responsesToChat(request: ResponsesRequest): ChatBody {
  const { tools, text, reasoning } = request;
  return present({
    model: request.model,
    messages: [...instructions(request.instructions), ...toChatMessages(request.input)],
    max_tokens: request.max_output_tokens,
    temperature: request.temperature,
    top_p: request.top_p,
    tools: tools?.length === 0 ? undefined : tools?.map(toChatTool),
    tool_choice: toolChoice(request.tool_choice),
    parallel_tool_calls: request.parallel_tool_calls,
    response_format: responseFormat(text?.format),
    verbosity: text?.verbosity,
    reasoning_effort: reasoning?.effort,
    user: request.user,
    ...(request.stream === true ? { stream: true, stream_options: { include_usage: true } } : {}),
  });
}

type ChatContent = string | object[];

interface ChatMessage {
  readonly role: string;
  content?: ChatContent | null;
  tool_calls?: object[];
  reasoning_content?: string;
  readonly tool_call_id?: string;
}

function instructions(text: string | null | undefined): ChatMessage[] {
  return text === undefined || text === null || text === ''
    ? []
    : [{ role: 'system', content: text }];
}

/**
 * What the assistant thinks, says and calls in a row is one message, in whatever order: between calls
 * and their outputs a backend may refuse any other message.
 */
function toChatMessages(input: ResponsesRequest['input']): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  const messages: ChatMessage[] = [];
  for (const item of input) {
    const last = messages.at(-1);
    const turn = last?.role === 'assistant' ? last : undefined;
    const added = toChatMessage(item, turn);
    if (added !== undefined) messages.push(added);
  }
  for (const message of messages) {
    if (message.role === 'assistant') message.content ??= message.tool_calls ? null : '';
  }
  return messages;
}

/** A new message, unless the item could be joined to the assistant's turn. */
function toChatMessage(item: InputItem, turn: ChatMessage | undefined): ChatMessage | undefined {
  switch (item.type) {
    case 'function_call_output':
      return { role: 'tool', tool_call_id: item.call_id, content: outputText(item.output) };
    case 'function_call': {
      const { call_id: id, name, arguments: given } = item;
      const call = { id, type: 'function', function: { name, arguments: given } };
      if (turn === undefined) return { role: 'assistant', tool_calls: [call] };
      turn.tool_calls = [...(turn.tool_calls ?? []), call];
      return undefined;
    }
    case 'reasoning':
      return toThought(item, turn);
    case 'message':
    case undefined:
      return toTurn(item, turn);
  }
}

function toThought(
  { content = [] }: Extract<InputItem, { type: 'reasoning' }>,
  turn: ChatMessage | undefined,
): ChatMessage | undefined {
  const thought = content.map(({ text }) => text).join('\n');
  if (thought === '') return undefined;
  if (turn === undefined) return { role: 'assistant', reasoning_content: thought };
  turn.reasoning_content = joined(turn.reasoning_content ?? '', thought);
  return undefined;
}

function toTurn(item: InputMessage, turn: ChatMessage | undefined): ChatMessage | undefined {
  const { role } = item;
  const content = toContent(item.content);
  if (role !== 'assistant' || turn === undefined) return { role, content };
  turn.content = joinedContent(turn.content ?? '', content);
  return undefined;
}

function joinedContent(before: ChatContent, after: ChatContent): ChatContent {
  if (typeof before === 'string' && typeof after === 'string') return joined(before, after);
  return [...partsOf(before), ...partsOf(after)];
}

function joined(before: string, after: string): string {
  return [before, after].filter((text) => text !== '').join('\n');
}

function partsOf(content: ChatContent): object[] {
  if (typeof content !== 'string') return content;
  return content === '' ? [] : [{ type: 'text', text: content }];
}

function toContent(content: string | readonly InputPart[]): ChatContent {
  if (typeof content === 'string') return content;
  const texts = content.flatMap((part) => ('text' in part ? [part.text] : []));
  if (texts.length === content.length) return texts.join('\n');
  return content.map(toChatPart);
}

function toChatPart(part: InputPart): object {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
      return { type: 'text', text: part.text };
    case 'refusal':
      return { type: 'refusal', refusal: part.refusal };
    case 'input_image': {
      const detail = part.detail ?? undefined;
      return { type: 'image_url', image_url: present({ url: part.image_url, detail }) };
    }
  }
}

function outputText(output: string | readonly { readonly text: string }[]): string {
  return typeof output === 'string' ? output : output.map(({ text }) => text).join('\n');
}

function toChatTool(tool: NonNullable<ResponsesRequest['tools']>[number]): object {
  const { name, description, parameters, strict } = tool;
  return { type: 'function', function: present({ name, description, parameters, strict }) };
}

function toolChoice(choice: ResponsesRequest['tool_choice']): unknown {
  if (choice === null || choice === undefined || typeof choice === 'string') return choice;
  return { type: 'function', function: { name: choice.name } };
}

function responseFormat(
  format: NonNullable<ResponsesRequest['text']>['format'],
): object | undefined {
  if (format === undefined || format.type === 'text') return undefined;
  if (format.type === 'json_object') return format;
  const { name, schema, description, strict } = format;
  return { type: 'json_schema', json_schema: present({ name, schema, description, strict }) };
}
