import type { Dialect } from '@sanctum/contracts';
import { ChatStreamReader } from './chat-stream.js';
import { chatToMessage } from './messages/answer.js';
import { messagesToChat, parseMessagesRequest } from './messages/request.js';
import { MessagesEvents } from './messages/stream.js';
import { chatToResponse } from './responses/answer.js';
import { parseResponsesRequest, responsesToChat } from './responses/request.js';
import { ResponsesEvents } from './responses/stream.js';
import type { Translation } from './translation.js';

/**
 * One request as a chat completion. `body` is parsed JSON. Throws `unsupported` with `param` for
 * what a chat completion cannot express, `invalid_request` for what is malformed.
 */
export function translate(dialect: Exclude<Dialect, 'chat'>, body: unknown): Translation {
  switch (dialect) {
    case 'messages':
      return translateMessages(body);
    case 'responses':
      return translateResponses(body);
  }
}

function translateMessages(body: unknown): Translation {
  const request = parseMessagesRequest(body);
  const stopSequences = request.stop_sequences ?? [];
  const wishes = { stopSequences, thoughts: request.thinking?.type !== 'disabled' };
  return {
    dialect: 'messages',
    stream: request.stream === true,
    chat: messagesToChat(request),
    answer: (completion, stamp) => chatToMessage(completion, stamp, wishes),
    openStream: (stamp) => new ChatStreamReader(new MessagesEvents(stamp, wishes)),
  };
}

function translateResponses(body: unknown): Translation {
  const request = parseResponsesRequest(body);
  return {
    dialect: 'responses',
    stream: request.stream === true,
    chat: responsesToChat(request),
    answer: (completion, stamp) => chatToResponse(completion, request, stamp),
    openStream: (stamp) => new ChatStreamReader(new ResponsesEvents(request, stamp)),
  };
}
