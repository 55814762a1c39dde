import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chatCompletionRequestSchema } from '@sanctum/contracts';
import { messagesRequestSchema } from '@sanctum/dialects';
import { UpstreamProgram } from '@sanctum/testing';
import { z } from 'zod';
import { startTestRouter, type TestRouter } from '../router.fixture.js';

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, unknown>>;
  readonly components: { readonly schemas: Record<string, object> };
}

describe('/openapi.json', () => {
  let upstream: UpstreamProgram;
  let router: TestRouter;
  let document: Document;
  beforeAll(async () => {
    upstream = await UpstreamProgram.start();
    const backends = { main: { url: upstream.url('zoo-engine'), models: ['main-model'] } };
    router = await startTestRouter({ router: { backends } });
    document = (await (await router.get('/openapi.json')).json()) as Document;
  });
  afterAll(async () => {
    await router.stop();
    await upstream.kill();
  });

  it('has the schemas that requests are checked by', () => {
    const { schemas } = document.components;
    const of = (schema: z.ZodType): unknown => {
      const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
      return { ...(JSON.parse(JSON.stringify(json)) as object), $schema: undefined };
    };
    expect(document.openapi).toBe('3.1.0');
    expect({ ...schemas['MessagesRequest'], $schema: undefined }).toEqual(
      of(messagesRequestSchema),
    );
    expect({ ...schemas['ChatCompletionRequest'], $schema: undefined }).toEqual(
      of(chatCompletionRequestSchema),
    );
  });

  it('refers to nothing that is not in it', () => {
    const names = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)];
    expect(names.length).toBeGreaterThan(20);
    for (const [, name = ''] of names) expect(document.components.schemas).toHaveProperty(name);
  });

  it('lists only paths that are answered', async () => {
    for (const [path, operations] of Object.entries(document.paths)) {
      const isGet = 'get' in operations;
      const answer = await fetch(router.url + path.replace('{model}', 'main-model'), {
        method: isGet ? 'GET' : 'POST',
        ...(isGet ? {} : { body: '{}' }),
      });
      await answer.text();
      expect(answer.status).not.toBe(404);
      expect(answer.status).toBeLessThan(500);
    }
  });
});
