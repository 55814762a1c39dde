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
export { DEFAULT_SCHEDULER_LIMITS, type SchedulerLimits } from './limits.js';
export type {
  ChatMessage,
  FinishReason,
  GenerationOptions,
  SamplingParams,
  TokenReport,
  TokenText,
} from './request.js';
