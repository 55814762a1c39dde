import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request, type OutgoingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { useRouterBench } from './router-bench.fixture.js';

const TOKEN = 'c'.repeat(64);
const BODY = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });

describe('a web page from elsewhere, in a browser of this machine', () => {
  const bench = useRouterBench();
  let folder: string;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sanctum-router-page-'));
    const file = join(folder, 'token');
    writeFileSync(file, TOKEN, { mode: 0o600 });
    const council = { url: bench.upstream.url('well') };
    await bench.start({ router: { backends: { council }, auth_token_file: file } });
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** `fetch` would not let a Host or an Origin of ours through. */
  function send(
    headers: OutgoingHttpHeaders,
    { method = 'POST', path = '/v1/chat/completions' } = {},
  ): Promise<{ status: number; body: string }> {
    const { port } = bench.router;
    return new Promise((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => (body += text));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      });
      call.on('error', reject);
      call.end(method === 'POST' ? BODY : undefined);
    });
  }

  it.each([
    ['reads nothing', 'GET', '/v1/models'],
    ['sees no metrics', 'GET', '/metrics'],
    ['asks nothing', 'POST', '/v1/chat/completions'],
    ['asks nothing in another dialect', 'POST', '/v1/messages'],
  ])('%s by a name that it gave the address of this machine', async (...row) => {
    const [, method, path] = row;
    const { status, body } = await send({ host: 'evil.com:8900' }, { method, path });
    expect(status).toBe(403);
    expect(body).toContain('neither a name of this machine');
    expect(bench.upstream.requests).toHaveLength(0);
  });

  it('sends nothing blindly', async () => {
    const blind = { 'content-type': 'text/plain', origin: 'https://evil.com' };
    expect((await send(blind)).status).toBe(403);
    expect((await send({ ...blind, origin: 'null' })).status).toBe(403);
    expect((await send({ origin: 'https://evil.com' }, { method: 'OPTIONS' })).status).toBe(403);
    expect(bench.upstream.requests).toHaveLength(0);
  });

  it('is let in with the token, as what is called by a public name is', async () => {
    const headers = { host: 'ai.example.com', authorization: `Bearer ${TOKEN}` };
    expect((await send(headers)).status).toBe(200);
    const origin = 'https://chat.example.com';
    expect((await send({ 'x-api-key': TOKEN, origin })).status).toBe(200);
    // Whom the router knows is no matter of the backend's.
    expect(bench.upstream.requests.at(-1)?.headers).not.toHaveProperty('origin');
  });

  it('is not what pages and programs of this machine are', async () => {
    const { port } = bench.router;
    expect((await send({ host: `localhost:${port}` })).status).toBe(200);
    expect((await send({ origin: 'http://localhost:3000' })).status).toBe(200);
    expect((await send({ host: 'host.docker.internal:8900' })).status).toBe(200);
  });
});
