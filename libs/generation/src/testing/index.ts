export { sampleReference, type ReferenceSample } from './reference-sampler.js';
