export interface Question {
  readonly question?: string;
  readonly model?: string;
  readonly stream?: boolean;
  readonly max_tokens?: number;
}

export interface Answer {
  /** What the model said; of a stream all its events as they came. */
  readonly content: string;
  /** Which URL of the backend answered, when a router was asked. */
  readonly urlIndex: string | null;
}

/**
 * One question at temperature 0 to a router or an engine. Rejects, naming status and body, when the
 * status is none of 2xx.
 */
export async function ask(origin: string, asked: Question = {}): Promise<Answer> {
  const { question = 'What is 2+2? Respond with only the number.', ...fields } = asked;
  const messages = [{ role: 'user', content: question }];
  const response = await fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    // A kept connection may be closed by a router that is killed at the moment it is used again.
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify({ model: 'council-secure', temperature: 0, messages, ...fields }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${text}`);
  const urlIndex = response.headers.get('x-sanctum-url-index');
  return { content: asked.stream === true ? text : contentOf(text), urlIndex };
}

function contentOf(text: string): string {
  const { choices } = JSON.parse(text) as { choices: { message: { content: string } }[] };
  return choices[0]?.message.content.trim() ?? '';
}
