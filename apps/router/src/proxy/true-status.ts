import { parseObject } from '@sanctum/routing';

/** Fields of the answers that may carry an `error` beside what they are. */
const ANSWER_FIELDS = ['choices', 'content', 'output', 'object', 'data'] as const;
const BAD_GATEWAY = 502;
const EMPTY = Buffer.alloc(0);

/**
 * The status an answer should have had: some providers answer 200 with nothing but an error in the
 * body, whose `code` is the status then. Anything else keeps its own.
 */
export function trueStatus(status: number, body: readonly Buffer[]): number {
  if (status >= 400) return status;
  const whole = joined(body);
  if (!whole.includes('"error"')) return status;
  const answer = parseObject(whole.toString('utf8'));
  const error = answer?.['error'];
  const isError = (typeof error === 'object' && error !== null) || typeof error === 'string';
  if (!isError || ANSWER_FIELDS.some((field) => answer?.[field] !== undefined)) return status;
  const { code } = Object(error) as { code?: unknown };
  return typeof code === 'number' && code >= 400 && code <= 599 ? code : BAD_GATEWAY;
}

/** Answers mostly come in one piece. */
function joined(body: readonly Buffer[]): Buffer {
  const [first = EMPTY] = body;
  return body.length > 1 ? Buffer.concat(body) : first;
}
