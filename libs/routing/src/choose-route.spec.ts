import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { AvailabilityOf, RoutingPolicy } from './backend-route.js';
import { chooseRoute, INTENT_TEXT_CHARS_MAX, type RouteDecision } from './choose-route.js';
import { explainRoute } from './explain-route.js';
import { compileRoutingTable } from './routing-table.js';

const POLICY: RoutingPolicy = {
  backends: [
    { name: 'council-secure', models: ['padawan', 'council-*'] },
    { name: 'coder', models: ['coder-7b', 'code-*', '*coder*'] },
    { name: 'cloud', models: ['padawan', 'council-cloud-*'] },
  ],
  defaultBackend: 'council-secure',
  strictModels: false,
  intentKeywords: { coder: ['Function', 'debug'], cloud: ['analyze'] },
};
const TABLE = compileRoutingTable(POLICY);
const STRICT = compileRoutingTable({ ...POLICY, strictModels: true });

function choose(model: string | undefined, prompt = '', without: string[] = []): RouteDecision {
  return chooseRoute(TABLE, { model, prompt: () => prompt }, absent(without));
}

function absent(names: string[]): AvailabilityOf {
  return (backend) =>
    names.includes(backend) ? { available: false, reason: 'breaker open' } : { available: true };
}

describe('chooseRoute', () => {
  it.each([
    ['padawan', 'council-secure', 'exact'],
    ['coder', 'coder', 'exact'],
    ['council-yoda', 'council-secure', 'glob'],
    ['council-cloud-1', 'cloud', 'glob'],
    ['my-coder-x', 'coder', 'glob'],
  ])('%s goes to %s by %s', (model, backend, rule) => {
    expect(choose(model)).toMatchObject({ kind: 'routed', backend, rule, unknownModel: false });
  });

  it('looks at intent only when the choice is left open', () => {
    const prompt = 'Please DEBUG this';
    expect(choose(undefined, prompt)).toMatchObject({ backend: 'coder', rule: 'intent' });
    expect(choose('auto', prompt)).toMatchObject({ backend: 'coder', rule: 'intent' });
    expect(choose('padawan', prompt)).toMatchObject({ backend: 'council-secure', rule: 'exact' });
    expect(choose(undefined, 'hello')).toMatchObject({ rule: 'default', unknownModel: false });
  });

  it('does not ask for the prompt when a model is named', () => {
    const prompt = (): string => {
      throw new Error('asked');
    };
    expect(chooseRoute(TABLE, { model: 'padawan', prompt })).toMatchObject({ rule: 'exact' });
  });

  it('looks for keywords in a bounded part of the prompt', () => {
    const inside = `${' '.repeat(INTENT_TEXT_CHARS_MAX - 5)}debug`;
    expect(choose(undefined, inside)).toMatchObject({ rule: 'intent' });
    expect(choose(undefined, ` ${inside}`)).toMatchObject({ rule: 'default' });
  });

  it('sends an unknown name to the default and says so, or refuses it when strict', () => {
    expect(choose('gpt-9')).toMatchObject({
      backend: 'council-secure',
      rule: 'default',
      unknownModel: true,
    });
    const refused = chooseRoute(STRICT, { model: 'gpt-9', prompt: () => '' });
    expect(refused).toMatchObject({ kind: 'refused', model: 'gpt-9' });
  });

  it('passes over what is unavailable, and keeps the default for last', () => {
    expect(choose('padawan', '', ['council-secure'])).toMatchObject({
      backend: 'cloud',
      rule: 'exact',
    });
    expect(choose('coder-7b', '', ['coder'])).toMatchObject({
      backend: 'council-secure',
      rule: 'default',
      unknownModel: false,
    });
    expect(choose('padawan', '', ['council-secure', 'cloud', 'coder'])).toMatchObject({
      backend: 'council-secure',
      rule: 'default',
    });
    expect(choose('auto', 'debug and analyze', ['coder'])).toMatchObject({ backend: 'cloud' });
  });

  it('does not refuse a known name whose backend is unavailable', () => {
    const query = { model: 'coder-7b', prompt: () => '' };
    const decision = chooseRoute(STRICT, query, absent(['coder']));
    expect(decision).toMatchObject({ kind: 'routed', rule: 'default' });
  });

  it('always decides, and its last step is what it decided', () => {
    fc.assert(
      fc.property(
        fc.option(fc.string(), { nil: undefined }),
        fc.string(),
        fc.subarray(['council-secure', 'coder', 'cloud']),
        (model, prompt, without) => {
          const decision = choose(model, prompt, without);
          expect(decision.kind).toBe('routed');
          const last = decision.steps.at(-1);
          if (decision.kind === 'routed') {
            expect(last).toMatchObject({ outcome: 'matched', backend: decision.backend });
            expect(last?.rule).toBe(decision.rule);
            expect(without.includes(decision.backend)).toBe(
              without.includes(decision.backend) && decision.rule === 'default',
            );
          }
        },
      ),
    );
  });
});

describe('explainRoute', () => {
  it('says each step in words', () => {
    expect(explainRoute(choose('council-yoda'))).toEqual([
      'exact: nothing matches "council-yoda".',
      'glob: council-secure matched by "council-*".',
      'Routed to council-secure by glob.',
    ]);
    expect(explainRoute(choose('auto', 'debug', ['coder', 'council-secure']))).toEqual([
      'exact: not looked at, because the request leaves the choice open.',
      'glob: not looked at, because the request leaves the choice open.',
      'intent: coder matched by "debug" but was passed over: breaker open.',
      'default: council-secure, although it is not available (breaker open): its error is the answer.',
      'Routed to council-secure by default.',
    ]);
    expect(explainRoute(choose('gpt-9')).at(-1)).toBe(
      'Routed to council-secure by default (the name is unknown; the answer says so).',
    );
    const refused = chooseRoute(STRICT, { model: 'gpt-9', prompt: () => '' });
    expect(explainRoute(refused)).toEqual([
      'exact: nothing matches "gpt-9".',
      'glob: nothing matches "gpt-9".',
      'intent: not looked at, because the request names a model.',
      'default: not taken, because strict_models is on.',
      'Refused: no backend serves "gpt-9".',
    ]);
  });
});

describe('compileRoutingTable', () => {
  it('refuses names of backends that are not declared', () => {
    expect(() => compileRoutingTable({ ...POLICY, defaultBackend: 'x' })).toThrow(
      'services.router.default names backend "x", which is not declared; ' +
        'declared are: council-secure, coder, cloud.',
    );
    expect(() => compileRoutingTable({ ...POLICY, intentKeywords: { y: ['a'] } })).toThrow(
      'intent_keywords.y',
    );
  });
});
