export {
  Context,
  type ComputeMode,
  type ContextOptions,
  type IsaName,
  type KernelLimits,
  type KernelStats,
} from './context.js';
export {
  FileMap,
  Tensor,
  Weight,
  type QuantizationBits,
  type QuantizationGroup,
  type QuantizedParts,
  type TensorLayout,
  type TensorType,
} from './data.js';
export {
  ABI_VERSION,
  Kernels,
  openKernels,
  type LibraryInfo,
  type QuantizedMatrix,
} from './kernels.js';
export {
  Program,
  type Attention,
  type GatedDelta,
  type KeyValueType,
  type ProgramOptions,
  type Register,
  type Span,
  type WantedLogits,
} from './program.js';
export {
  MAX_TOP_LOGPROBS,
  type SampledToken,
  type SamplingParams,
  type TokenLogprob,
} from './sampling.js';
export { Sequence } from './sequence.js';
