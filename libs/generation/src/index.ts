export type {
  CausalModel,
  ModelInfo,
  ModelSequence,
  NativeSampling,
  SampledToken,
  SpanLogits,
  StepSpan,
  TokenLogprob,
} from './causal-model.js';
export {
  createChatTemplate,
  type ChatTemplate,
  type ChatTemplateOptions,
} from './chat-template.js';
export type { Delta, Finish, GenerationRequest, SchedulerStats, StepEvents } from './events.js';
export { DEFAULT_SCHEDULER_LIMITS, type SchedulerLimits } from './limits.js';
export { MESSAGES_MAX, parseMessages } from './messages.js';
export {
  parseChatRequest,
  parseCompletionRequest,
  type ChatRequest,
  type CompletionRequest,
} from './parse-request.js';
export {
  LOGIT_BIAS_MAX,
  parseSampling,
  STOP_CHARS_MAX,
  STOP_SEQUENCES_MAX,
  TOP_LOGPROBS_MAX,
  type ParsedSampling,
} from './parse-sampling.js';
export type {
  ChatMessage,
  FinishReason,
  GenerationOptions,
  SamplingParams,
  TokenReport,
  TokenText,
} from './request.js';
export { Scheduler, type SchedulerOptions } from './scheduler.js';
export { StreamDecoder } from './stream-decoder.js';
export { createTokenizer, type EncodeOptions, type Tokenizer } from './tokenizer.js';
