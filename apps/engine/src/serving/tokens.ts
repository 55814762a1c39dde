/** What the engine's module provides for injection. */
export const HOST = Symbol('engine.host');
export const INFERENCE = Symbol('engine.inference');
export const SERVED_MODEL = Symbol('engine.served-model');
