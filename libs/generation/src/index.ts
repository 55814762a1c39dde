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
