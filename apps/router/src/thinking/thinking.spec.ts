import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTempHome, RunningProgram, UpstreamProgram, type TempHome } from '@sanctum/testing';
import OpenAI from 'openai';
import { startTestRouter } from '../router.fixture.js';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const ANSWER = '2 + 2 equals 4. ✓';
const USAGE = { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20 };
const MESSAGES = [{ role: 'user' as const, content: 'What is 2+2?' }];
const TOOLS = [{ type: 'function' as const, function: { name: 'note', parameters: {} } }];
const THINKERS = ['thinks-in-tags', 'thinks-in-fields'] as const;

let home: TempHome;
let upstream: UpstreamProgram;
let router: RunningProgram;
let url = '';
let openai: OpenAI;

beforeAll(async () => {
  home = await createTempHome({ identities: [] });
  upstream = await UpstreamProgram.start();
  const names = [...THINKERS, 'thinks-forever', 'thinks-compressed', 'thinks-and-dies', 'well'];
  const backends = Object.fromEntries(
    names.flatMap((name) => [
      [name, { url: upstream.url(name), strip_thinking: true }],
      [`${name}-aloud`, { url: upstream.url(name) }],
    ]),
  );
  const services = { router: { port: 0, default: 'well', backends } };
  const file = home.paths.instanceFile;
  writeFileSync(file, JSON.stringify({ instance: { name: home.instance }, services }));
  router = await RunningProgram.startSource(MAIN, { args: ['--router-config', file] });
  const line = await router.line((text) => text.includes('"msg":"ready"'), 60_000);
  url = (JSON.parse(line) as { addresses: { url: string }[] }).addresses[0]?.url ?? '';
  openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await router.stop();
  await upstream.kill();
  await home.remove();
});

const ask = (to: string, body: object): Promise<Response> =>
  fetch(`${to}/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
const asked = (model: string) => ({ model, messages: MESSAGES });

describe.each(THINKERS)('with strip_thinking, %s', (model) => {
  it('answers without its thoughts, whole', async () => {
    const { choices, usage } = await openai.chat.completions.create(asked(model));
    expect(choices[0]?.message).toEqual({ role: 'assistant', content: ANSWER });
    expect(usage).toEqual(USAGE);
  });

  it('answers without its thoughts, streamed', async () => {
    const answer = await ask(`${url}/v1`, { ...asked(model), stream: true });
    const text = await answer.text();
    expect(text).not.toMatch(/think|reasoning|Two and two/);
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    const stream = openai.chat.completions.stream({ ...asked(model) });
    const pieces: string[] = [];
    stream.on('content', (piece) => pieces.push(piece));
    expect((await stream.finalMessage()).content).toBe(ANSWER);
    expect(pieces.length).toBeGreaterThan(2);
    expect(await stream.totalUsage()).toMatchObject(USAGE);
  });

  it('has no thoughts for clients of other dialects', async () => {
    const anthropic = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
    const message = { ...asked(model), max_tokens: 64 };
    const content = [{ type: 'text', text: ANSWER, citations: null }];
    expect((await anthropic.messages.create(message)).content).toEqual(content);
    const streamed = await anthropic.messages.stream(message).finalMessage();
    expect(streamed.content).toMatchObject(content);
    expect(streamed.content).toHaveLength(1);
    const response = await openai.responses.create({ model, input: 'What is 2+2?' });
    expect(response.output.map(({ type }) => type)).toEqual(['message']);
  });
});

describe('strip_thinking', () => {
  it('leaves tool calls as they are, whatever their arguments hold', async () => {
    const body = { ...asked('thinks-in-tags'), tools: TOOLS };
    const call = { function: { name: 'note', arguments: '{"text":"<think>mine</think>"}' } };
    const { choices } = await openai.chat.completions.create(body);
    expect(choices[0]?.message).toMatchObject({ content: ANSWER, tool_calls: [call] });
    const streamed = await openai.chat.completions.stream(body).finalMessage();
    expect(streamed).toMatchObject({ content: ANSWER, tool_calls: [call] });
  });

  it('leaves nothing of a thought that never ends but how it ended', async () => {
    const { choices, usage } = await openai.chat.completions.create(asked('thinks-forever'));
    expect(choices[0]).toMatchObject({ finish_reason: 'length', message: { content: '' } });
    expect(usage).toEqual(USAGE);
    const stream = await ask(`${url}/v1`, { ...asked('thinks-forever'), stream: true });
    const text = await stream.text();
    expect(text).not.toContain('Two and two');
    expect(text).toContain('"finish_reason":"length"');
  });

  it('reads what the backend compressed', async () => {
    const answer = await ask(`${url}/v1`, asked('thinks-compressed'));
    expect(answer.headers.get('content-encoding')).toBeNull();
    expect(await answer.json()).toMatchObject({ choices: [{ message: { content: ANSWER } }] });
  });

  it('tells of a stream that dies, behind what it had said', async () => {
    const answer = await ask(`${url}/v1`, { ...asked('thinks-and-dies'), stream: true });
    const events = (await answer.text()).split('\n\n').filter((event) => event !== '');
    const said = events.slice(0, -1).map((event) => JSON.parse(event.slice(6)) as Chunk);
    expect(said.map(({ choices }) => choices[0]?.delta.content)).toEqual(['4 ', '<']);
    expect(events.at(-1)).toMatch(/^data: \{"error":/);
  });

  it('is no leak, and is a leak where it is off', async () => {
    const findings = async (): Promise<string[]> => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return text.split('\n').filter((line) => /answer_findings_total\{.*think_tag/.test(line));
    };
    await (await ask(`${url}/v1`, asked('thinks-in-tags'))).text();
    await (await ask(`${url}/v1`, asked('thinks-in-tags-aloud'))).text();
    const told = await findings();
    expect(told.join()).toContain('backend="thinks-in-tags-aloud"');
    expect(told.join()).not.toContain('backend="thinks-in-tags"');
  });

  it('shows in /v1/backends', async () => {
    const answer = await fetch(`${url}/v1/backends`);
    const { backends } = (await answer.json()) as { backends: object[] };
    expect(backends).toContainEqual(
      expect.objectContaining({ name: 'well', strip_thinking: true }),
    );
  });
});

interface Chunk {
  readonly choices: { readonly delta: { readonly content: string } }[];
}

describe('bytes are the same as from the backend', () => {
  it.each([
    ['where it is off', 'thinks-in-tags-aloud', 'thinks-in-tags'],
    ['where it is on and nobody thinks', 'well', 'well'],
  ])('%s', async (_, model, behaviour) => {
    for (const stream of [false, true]) {
      const body = { ...asked(model), stream };
      const direct = await ask(upstream.url(behaviour), body);
      const routed = await ask(`${url}/v1`, body);
      expect(await routed.text()).toBe(await direct.text());
      expect(routed.headers.get('content-length')).toBe(direct.headers.get('content-length'));
    }
  });
});

it('refuses a plain answer longer than it may hold, instead of letting it pass', async () => {
  const backends = { main: { url: upstream.url('thinks-in-tags'), strip_thinking: true } };
  const small = await startTestRouter({
    router: { backends },
    limits: { translatedAnswerBytesMax: 64 },
  });
  const answer = await small.post(asked('main'));
  expect(answer.status).toBe(502);
  expect(await answer.json()).toMatchObject({
    error: { code: 'upstream_failed', message: "The upstream's answer exceeds 64 bytes." },
  });
  await small.stop();
});
