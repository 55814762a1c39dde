import { SanctumError } from '@sanctum/errors';
import { parseDialect } from '../parse-dialect.js';
import { present } from '../present.js';
import type { ChatBody } from '../translation.js';
import {
  MESSAGES_REASONS,
  messagesRequestSchema,
  type AssistantBlock,
  type MessageParam,
  type MessagesRequest,
  type ToolResultBlock,
  type UserBlock,
} from './request-schema.js';

type ChatMessage = Readonly<Record<string, unknown>>;

/**
 * Reads a body of `POST /v1/messages`. Throws `unsupported` with `param` for what a chat completion
 * cannot express and `invalid_request` for what is malformed.
 */
export function parseMessagesRequest(body: unknown): MessagesRequest {
  const request = parseDialect(messagesRequestSchema, body, MESSAGES_REASONS);
  const last = request.messages.length - 1;
  if (request.messages[last]?.role === 'assistant') {
    throw new SanctumError(
      'unsupported',
      `messages[${last}].role: a chat completion cannot continue a turn of the assistant; ` +
        'end with a message of the user.',
      { param: `messages[${last}].role` },
    );
  }
  return request;
}

/** The same request as a body of `/v1/chat/completions`. */
export function messagesToChat(request: MessagesRequest): ChatBody {
  const { model, system, metadata, output_config: output } = request;
  return present({
    model,
    messages: [...systemMessages(system), ...request.messages.flatMap(toChatMessages)],
    max_tokens: request.max_tokens,
    stop: request.stop_sequences?.length === 0 ? undefined : request.stop_sequences,
    temperature: request.temperature,
    top_p: request.top_p,
    top_k: request.top_k,
    tools: request.tools?.length === 0 ? undefined : request.tools?.map(toChatTool),
    ...toolChoice(request.tool_choice),
    reasoning_effort: output?.effort,
    response_format: responseFormat(output?.format ?? undefined),
    user: metadata?.user_id,
    ...(request.stream === true ? { stream: true, stream_options: { include_usage: true } } : {}),
  });
}

function systemMessages(system: MessagesRequest['system']): ChatMessage[] {
  if (system === undefined || system.length === 0) return [];
  return [{ role: 'system', content: textOf(system) }];
}

function toChatMessages(message: MessageParam): ChatMessage[] {
  const { role, content } = message;
  switch (role) {
    case 'system':
      return [{ role, content: textOf(content) }];
    case 'user':
      return typeof content === 'string' ? [{ role, content }] : userMessages(content);
    case 'assistant':
      return typeof content === 'string' ? [{ role, content }] : [assistantMessage(content)];
  }
}

/**
 * Results of tools are messages of their own, before what the user says beside them. A tool message
 * has text alone, so the images of all results come first in what the user says.
 */
function userMessages(blocks: readonly UserBlock[]): ChatMessage[] {
  const found = blocks.filter((block) => block.type === 'tool_result');
  const results = found.map(toolMessage);
  const said = [
    ...found.flatMap(({ content }) => imagesOf(content ?? '')),
    ...blocks.filter((block) => block.type !== 'tool_result'),
  ];
  if (said.length === 0) return results;
  const isText = said.every((block) => block.type === 'text');
  const parts = said.map((block) =>
    block.type === 'text'
      ? { type: 'text', text: block.text }
      : { type: 'image_url', image_url: { url: imageUrl(block.source) } },
  );
  const only = isText && said.length === 1 ? said[0] : undefined;
  const content = only?.type === 'text' ? only.text : parts;
  return [...results, { role: 'user', content }];
}

/** A tool message has no mark for failure, so the model reads it in the text. */
function toolMessage(block: ToolResultBlock): ChatMessage {
  const text = textsOf(block.content ?? '');
  const content = block.is_error === true ? `Error: ${text}` : text;
  return { role: 'tool', tool_call_id: block.tool_use_id, content };
}

function assistantMessage(blocks: readonly AssistantBlock[]): ChatMessage {
  const texts = blocks.flatMap((block) => (block.type === 'text' ? [block.text] : []));
  const thoughts = blocks.flatMap((block) => (block.type === 'thinking' ? [block.thinking] : []));
  const calls = blocks.flatMap((block) =>
    block.type === 'tool_use'
      ? [
          {
            id: block.id,
            type: 'function',
            function: { name: block.name, arguments: JSON.stringify(block.input) },
          },
        ]
      : [],
  );
  return {
    role: 'assistant',
    content: texts.length === 0 && calls.length > 0 ? null : texts.join(''),
    ...(thoughts.length === 0 ? {} : { reasoning_content: thoughts.join('\n') }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

type ResultContent = NonNullable<ToolResultBlock['content']>;
type ImageBlock = Extract<UserBlock, { type: 'image' }>;

function textsOf(content: ResultContent): string {
  if (typeof content === 'string') return content;
  return textOf(content.filter((block) => block.type === 'text'));
}

function imagesOf(content: ResultContent): ImageBlock[] {
  return typeof content === 'string' ? [] : content.filter((block) => block.type === 'image');
}

function imageUrl(source: ImageBlock['source']): string {
  return source.type === 'url' ? source.url : `data:${source.media_type};base64,${source.data}`;
}

function toChatTool(tool: NonNullable<MessagesRequest['tools']>[number]): object {
  const { name, description, input_schema: parameters, strict } = tool;
  return { type: 'function', function: present({ name, description, parameters, strict }) };
}

function toolChoice(choice: MessagesRequest['tool_choice']): Record<string, unknown> {
  if (choice === undefined) return {};
  const isSerial = choice.type !== 'none' && choice.disable_parallel_tool_use === true;
  const parallel = isSerial ? { parallel_tool_calls: false } : {};
  switch (choice.type) {
    case 'auto':
    case 'none':
      return { tool_choice: choice.type, ...parallel };
    case 'any':
      return { tool_choice: 'required', ...parallel };
    case 'tool':
      return { tool_choice: { type: 'function', function: { name: choice.name } }, ...parallel };
  }
}

function responseFormat(format: { schema: object } | undefined): object | undefined {
  if (format === undefined) return undefined;
  const { schema } = format;
  return { type: 'json_schema', json_schema: { name: 'output', schema, strict: true } };
}

function textOf(content: string | readonly { readonly text: string }[]): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('\n');
}
