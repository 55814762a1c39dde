import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { loadInstance, type Instance } from '@sanctum/catalog';
import { serviceAt } from './service-at.js';

const INSTANCE = `
instance: { name: attic }
services:
  engine:
    model: models/small
    listeners:
      plain: { hosts: [127.0.0.1], port: 4001 }
      tls: { hosts: [0.0.0.0, 10.0.0.7], port: 4002 }
  fallback: { port: 4003 }
  router:
    port: 4004
    default: a
    backends: { a: { url: 'http://127.0.0.1:4001/v1' } }
`;

let folder: string;
let instance: Instance;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sanctum-service-at-'));
  const file = join(folder, 'instance.yaml');
  writeFileSync(file, INSTANCE);
  instance = loadInstance(file);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('serviceAt', () => {
  it.each([
    ['http://127.0.0.1:4001/v1', 'engine'],
    ['http://localhost:4001/v1', 'engine'],
    ['http://[::1]:4001/v1', 'engine'],
    ['https://127.0.0.1:4002/v1', 'engine'],
    ['https://10.0.0.7:4002/v1', 'engine'],
    ['http://127.0.0.1:4003/v1', 'mlx-py-fallback'],
    ['http://127.0.0.1:4004/v1', 'router'],
    ['http://127.0.0.1:4005/v1', undefined],
    ['https://10.0.0.8:4002/v1', undefined],
    ['http://10.0.0.7:4001/v1', undefined],
    ['https://api.example.com/v1', undefined],
  ])('finds behind %s: %s', (url, service) => {
    expect(serviceAt(instance, url)).toBe(service);
  });
});
