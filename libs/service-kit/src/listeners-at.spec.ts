import { expect, it } from '@jest/globals';
import { listenersAt } from './listeners-at.js';

it('binds this machine in any case, and tries again elsewhere', () => {
  const hosts = ['127.0.0.1', '192.168.1.5', '127.0.0.1', '0.0.0.0'];
  expect(listenersAt('plain', { hosts, port: 8900 })).toEqual([
    { name: 'plain', host: '127.0.0.1', port: 8900, optional: false },
    { name: 'plain 192.168.1.5', host: '192.168.1.5', port: 8900, optional: true },
    { name: 'plain 0.0.0.0', host: '0.0.0.0', port: 8900, optional: false },
  ]);
});
