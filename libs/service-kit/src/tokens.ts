/** What the kit provides for injection, in every module of a service. */
export const LOGGER = Symbol('sanctum.logger');
export const METRICS = Symbol('sanctum.metrics');
export const STATE = Symbol('sanctum.state');
export const HEALTH = Symbol('sanctum.health');
/** A `Bus`, or undefined for a service started without NATS. */
export const BUS = Symbol('sanctum.bus');
