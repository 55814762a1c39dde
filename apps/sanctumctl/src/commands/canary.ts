import type { Instance } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { streamChat } from '../chat/chat-client.js';
import { serviceUrls } from '../instance/service-specs.js';

export const CANARY_QUESTION = 'What is 2+2? Respond with only the number.';
const CANARY_TOKENS_MAX = 32;
const CANARY_TIMEOUT_MS = 60_000;

export interface CanaryAnswer {
  readonly question: string;
  /** What the model said, word for word. */
  readonly answer: string;
  readonly url: string;
}

/** Asks the default backend through the router, as any client would. */
export async function askCanary(instance: Instance): Promise<CanaryAnswer> {
  const { router: url } = serviceUrls(instance);
  if (url === undefined) {
    throw new SanctumError('config_invalid', 'instance.yaml enables no router to ask.');
  }
  const { text } = await streamChat(
    [{ role: 'user', content: CANARY_QUESTION }],
    {
      router: url,
      model: instance.services.router?.default,
      maxTokens: CANARY_TOKENS_MAX,
      temperature: 0,
      signal: AbortSignal.timeout(CANARY_TIMEOUT_MS),
    },
    () => undefined,
  );
  return { question: CANARY_QUESTION, answer: text.trim(), url };
}
