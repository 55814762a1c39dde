import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { createHome } from '@sanctum/catalog';
import { readEnvironment } from '../env.js';
import { locateSite } from '../instance/site.js';
import { checkClock } from './clock.js';

const home = mkdtempSync(join(tmpdir(), 'sanctum-clock-'));
afterAll(() => rmSync(home, { recursive: true }));

it('notices a clock that is behind what was written', () => {
  createHome(home);
  const site = locateSite(readEnvironment(), home);
  expect(checkClock(site).level).toBe('ok');
  // Half a minute off a whole one, to which it rounds up: files have finer times than the clock.
  const yesterday = Date.now() - 86_370_000;
  expect(checkClock(site, yesterday)).toMatchObject({
    level: 'fail',
    detail: expect.stringMatching(/^at least 1440 minutes behind: .* was written later than now$/),
  });
});
