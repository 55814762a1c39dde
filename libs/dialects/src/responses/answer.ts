import { readChatCompletion } from '../chat-answer.js';
import { ToolCallBook } from '../tool-calls.js';
import type { AnswerStamp } from '../translation.js';
import { callItem, textItem, type TextKind } from './items.js';
import type { ResponsesRequest } from './request-schema.js';
import { responseObject } from './response.js';
import { incompleteReason } from './stream.js';

/** A whole chat completion as a `response`. */
export function chatToResponse(
  completion: unknown,
  request: ResponsesRequest,
  stamp: AnswerStamp,
): object {
  const piece = readChatCompletion(completion);
  const output: object[] = [];
  const say = (kind: TextKind, text: string): void => {
    if (text === '') return;
    const item = textItem(kind, { index: output.length, stamp });
    output.push(Object.assign(item, { text, isDone: true }).toObject());
  };
  say('reasoning', piece.reasoning);
  say('text', piece.content);
  say('refusal', piece.refusal);
  const book = new ToolCallBook((ordinal) => `call_${stamp.id}_${ordinal}`);
  for (const call of piece.toolCalls) {
    const news = book.push(call);
    if (news?.opened === undefined) continue;
    const item = callItem(news.opened, { index: output.length, stamp });
    output.push(Object.assign(item, { arguments: news.arguments, isDone: true }).toObject());
  }
  const incomplete = incompleteReason(piece.finish);
  return responseObject(request, stamp, {
    status: incomplete === undefined ? 'completed' : 'incomplete',
    output,
    model: piece.model,
    usage: piece.usage,
    incomplete,
  });
}
