export { loadModel, MODEL_TYPES, STEP_TOKENS_DEFAULT, type LoadOptions } from './load-model.js';
export type { OpenFile } from './open-file.js';
