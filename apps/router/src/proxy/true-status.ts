import { parseObject } from '@sanctum/routing';
import type { HeldAnswer } from './held-answer.js';

/** Fields of the answers that may carry an `error` beside what they are. */
const ANSWER_FIELDS = ['choices', 'content', 'output', 'object', 'data'] as const;
const BAD_GATEWAY = 502;

/**
 * The status an answer should have had: some providers answer 200 with nothing but an error in the
 * body, whose `code` is the status then. Anything else keeps its own.
 */
export function trueStatus({
  status,
  text,
  body,
}: Pick<HeldAnswer, 'status' | 'text' | 'body'>): number {
  if (status >= 400 || !text.includes('"error"')) return status;
  const answer = parseObject(body.toString('utf8'));
  const error = answer?.['error'];
  const isError = (typeof error === 'object' && error !== null) || typeof error === 'string';
  if (!isError || ANSWER_FIELDS.some((field) => answer?.[field] !== undefined)) return status;
  const { code } = Object(error) as { code?: unknown };
  return typeof code === 'number' && code >= 400 && code <= 599 ? code : BAD_GATEWAY;
}
