export {
  DIALECT_LIMITS,
  type AnswerStamp,
  type AnswerStream,
  type ChatBody,
  type Translation,
} from './translation.js';
export { translate } from './translate.js';
export { withCallsApart } from './chat-answer.js';
export { messagesError, type MessagesError } from './messages/error.js';
export { messagesRequestSchema } from './messages/request-schema.js';
export { responsesRequestSchema } from './responses/request-schema.js';
export {
  CompletionStreamStripper,
  stripCompletion,
  type StrippedEvent,
} from './thinking/strip-chat.js';
