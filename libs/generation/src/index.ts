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
  type ChatTemplateSource,
} from './chat-template.js';
export { endOfSequenceId } from './end-of-sequence.js';
export type { Delta, Finish, GenerationRequest, SchedulerStats, StepEvents } from './events.js';
export { DEFAULT_SCHEDULER_LIMITS, type SchedulerLimits } from './limits.js';
export { parseSampling } from './parse-sampling.js';
export {
  GREEDY,
  type FinishReason,
  type GenerationOptions,
  type SamplingParams,
  type TokenReport,
  type TokenText,
} from './request.js';
export { opensReasoning } from './reasoning-split.js';
export { Scheduler, type SchedulerOptions } from './scheduler.js';
export { StreamDecoder } from './stream-decoder.js';
export { createTokenizer, type EncodeOptions, type Tokenizer } from './tokenizer.js';
