import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { DIALECT_PATHS } from '@sanctum/contracts';
import { messageOf, SanctumError } from '@sanctum/errors';
import {
  AUTO_MODEL,
  chooseRoute,
  exceedsJsonElements,
  findModelField,
  lastUserText,
  multipartField,
  readRequestFields,
  spliceModel,
  type AvailabilityOf,
  type ModelSplice,
  type RouteRule,
} from '@sanctum/routing';
import type { CallerPolicy } from '../access/callers.js';
import type { RouterLimits } from '../limits.js';
import type { ActiveRoutes, Backend } from '../upstream/upstream.js';
import { isInterpreted, namesModel } from './request-path.js';

/** What a choice depends on besides the request. */
export interface PlanContext {
  readonly routes: () => ActiveRoutes;
  readonly availabilityOf: AvailabilityOf;
  readonly limits: RouterLimits;
}

/** A request with its backend, ready for the first attempt. */
export interface PlannedRequest {
  readonly backend: Backend;
  readonly rule: RouteRule;
  readonly unknownModel: boolean;
  /** As the client named it. */
  readonly model: string | undefined;
  readonly stream: boolean;
  /** The body is a JSON object, so it may have a `model`. */
  readonly hasModel: boolean;
}

/**
 * Parses what choice needs and chooses. Throws `invalid_request` for a body that is no JSON object
 * in UTF-8, `model_not_found` for an unknown name in strict mode, and `forbidden` for a
 * backend the caller may not use.
 */
export function planRequest(
  context: PlanContext,
  request: IncomingMessage,
  { path, body, policy }: { path: string; body: Buffer; policy: CallerPolicy | undefined },
): PlannedRequest {
  const parsed = isJson(request, path, body)
    ? parseJson(body, context.limits.jsonElementsMax)
    : undefined;
  const fields = parsed === undefined ? undefined : readRequestFields(parsed);
  const { table, backends } = context.routes();
  const model = fields?.model ?? formModel(request, path, body);
  const query = { model, prompt: () => lastUserText(asChat(path, parsed)) };
  const decision = chooseRoute(table, query, availabilityFor(context, model, policy));
  if (decision.kind === 'refused') {
    throw new SanctumError(
      'model_not_found',
      `No backend serves model "${decision.model.slice(0, 200)}", and strict_models is on; ` +
        'GET /v1/models lists the names.',
      { param: 'model' },
    );
  }
  const backend = backends.get(decision.backend);
  if (backend === undefined) {
    throw new SanctumError('internal', `Backend "${decision.backend}" was chosen and is not open.`);
  }
  policy?.assertMayUse(backend.name);
  return {
    backend,
    rule: decision.rule,
    unknownModel: decision.unknownModel,
    model: decision.model,
    stream: fields?.stream ?? false,
    hasModel: parsed !== undefined,
  };
}

/** Choice that is left to the router keeps within what the caller may use; a name is taken as it is. */
export function availabilityFor(
  { availabilityOf }: PlanContext,
  model: string | undefined,
  policy: CallerPolicy | undefined,
): AvailabilityOf {
  const isNamed = model !== undefined && model !== AUTO_MODEL;
  return isNamed || policy === undefined ? availabilityOf : policy.narrow(availabilityOf);
}

/** The body an upstream gets: with its own model spliced in where it has one. */
export function bodyFor(
  body: Buffer,
  { hasModel }: PlannedRequest,
  model: ModelSplice | undefined,
): Uint8Array | null {
  if (body.length === 0) return null;
  if (!hasModel || model === undefined) return body;
  return spliceModel(body, findModelField(body), model);
}

/** Where the words of a `/v1/responses` input stand in a chat body. */
function asChat(path: string, parsed: unknown): unknown {
  if (path !== DIALECT_PATHS.responses) return parsed;
  const { input } = (parsed ?? {}) as { input?: unknown };
  return typeof input === 'string' ? { prompt: input } : { messages: input };
}

/** Audio comes as a form, which names its model in a field. */
function formModel(request: IncomingMessage, path: string, body: Buffer): string | undefined {
  if (!path.startsWith('/audio/')) return undefined;
  const model = multipartField(body, request.headers['content-type'] ?? '', 'model');
  return model === '' ? undefined : model;
}

function isJson(request: IncomingMessage, path: string, body: Buffer): boolean {
  if (!namesModel(path)) return false;
  if (request.method === 'POST' && isInterpreted(path)) return true;
  const type = request.headers['content-type'];
  return body.length > 0 && type?.includes('json') === true;
}

function parseJson(body: Buffer, elementsMax: number): unknown {
  if (body.length > elementsMax && exceedsJsonElements(body, elementsMax)) {
    throw new SanctumError(
      'invalid_request',
      `The body holds more than ${elementsMax} JSON objects, arrays and members.`,
    );
  }
  if (!isUtf8(body)) {
    throw new SanctumError('invalid_request', 'The body is not valid UTF-8.');
  }
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch (error) {
    throw new SanctumError(
      'invalid_request',
      `The body is not valid JSON: ${withoutExcerpt(messageOf(error))}.`,
      { cause: error },
    );
  }
}

/** V8 quotes the text around the fault; a prompt does not belong in a message that may be logged. */
function withoutExcerpt(message: string): string {
  const position = /at position \d+/.exec(message)?.[0];
  return position === undefined ? 'it ends too early or is not JSON at all' : `error ${position}`;
}
