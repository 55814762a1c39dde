import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { severityOf, type AnswerFinding } from './answer-inspector.js';
import { chooseRoute } from './choose-route.js';
import {
  ANSWER_ROWS,
  ATTEMPT_ROWS,
  CHOICE_ROWS,
  DECISION_DIAGRAM,
  ORDER_ROWS,
  renderDecisionTable,
} from './decision-table.js';
import {
  afterAttempt,
  endWaiting,
  startFailover,
  startStreaming,
  type FailoverPolicy,
  type FailoverState,
} from './failover-plan.js';
import { classifyOutcome } from './outcome.js';
import { compileRoutingTable } from './routing-table.js';
import { orderUrls } from './url-order.js';

const PAGE = new URL('../../../docs-site/failover.md', import.meta.url);
const LIMITS = { connectMs: 1, firstByteMs: 1, idleMs: 1 };
const POLICY: FailoverPolicy = { urls: [LIMITS, LIMITS], totalMs: 1_000 };

const ALONE: FailoverPolicy = { urls: [{ ...LIMITS, connectMs: 1_000 }], totalMs: 1_000 };

function doneBy(state: FailoverState): string {
  switch (state.kind) {
    case 'waiting':
      return 'waits';
    case 'trying':
      return state.urlIndex === 0 ? 'same_url' : 'next_url';
    default:
      return state.kind;
  }
}

function table(strictModels: boolean) {
  return compileRoutingTable({
    backends: [
      { name: 'council', models: ['padawan'] },
      { name: 'coder', models: ['code-*'] },
      { name: 'cloud', models: [] },
    ],
    defaultBackend: 'cloud',
    strictModels,
    intentKeywords: { coder: ['refactor'] },
  });
}

describe('the decision table', () => {
  it.each(CHOICE_ROWS)('choice: $when', ({ model, strict, unavailable, takes }) => {
    const decision = chooseRoute(table(strict), { model, prompt: () => 'Refactor it' }, (name) => ({
      available: !unavailable.includes(name),
    }));
    expect(decision.kind === 'routed' ? decision.backend : 'nobody').toBe(takes);
  });

  it.each(ORDER_ROWS)('order: $when', ({ standings, order }) => {
    expect(orderUrls(standings)).toEqual(order);
  });

  it.each(ATTEMPT_ROWS)('attempt: $when', ({ outcome, counts, before, after }) => {
    expect(classifyOutcome(outcome)).toBe(counts);
    const trying = startFailover(before === 'waits' ? ALONE : POLICY, 0);
    const nowMs = outcome.kind === 'deadline' ? POLICY.totalMs : 1;
    const next = afterAttempt(trying, { outcome, nowMs });
    expect(doneBy(next)).toBe(before);
    const ended = afterAttempt(startStreaming(trying), { outcome, nowMs: 1 });
    expect(ended.kind).toBe(after);
  });

  it.each(ANSWER_ROWS)('answer: $when, $finding', ({ then, finding, of }) => {
    expect(then.startsWith(severityOf(finding, of))).toBe(true);
  });

  it('names every way an attempt may end, and every finding', () => {
    const kinds = new Set(ATTEMPT_ROWS.map(({ outcome }) => outcome.kind));
    const all: Record<(typeof ATTEMPT_ROWS)[number]['outcome']['kind'], true> = {
      answered: true,
      connect_failure: true,
      transport: true,
      stale_connection: true,
      stall: true,
      deadline: true,
      stream_error: true,
    };
    expect([...kinds].sort()).toEqual(Object.keys(all).sort());
    const findings: Record<AnswerFinding, true> = {
      empty_content: true,
      pure_repetition: true,
      think_tag_leak: true,
      truncated_tiny: true,
    };
    const named = new Set(ANSWER_ROWS.map(({ finding }) => finding));
    expect([...named].sort()).toEqual(Object.keys(findings).sort());
  });
});

/** Every step the plan can take, found by taking them all. */
function stepsOfThePlan(): Set<string> {
  const steps = new Set<string>();
  const outcomes = ATTEMPT_ROWS.map(({ outcome }) => outcome);
  const visit = (state: FailoverState, depth: number): void => {
    if (state.kind === 'waiting' && depth > 0) {
      const next = endWaiting(state);
      steps.add(`waiting ► ${next.kind}`);
      visit(next, depth - 1);
    }
    if (depth === 0 || (state.kind !== 'trying' && state.kind !== 'streaming')) return;
    for (const outcome of outcomes) {
      for (const nowMs of [1, 2_000]) {
        const next = afterAttempt(state, { outcome, nowMs });
        steps.add(`${state.kind} ► ${next.kind}`);
        visit(next, depth - 1);
      }
    }
    const streaming = startStreaming(state);
    if (streaming !== state) steps.add(`${state.kind} ► ${streaming.kind}`);
    visit(streaming, depth - 1);
  };
  visit(startFailover(POLICY, 0), 4);
  visit(startFailover(ALONE, 0), 4);
  return steps;
}

const STATE_NAMES = /(?:► |^)(trying|waiting|streaming|exhausted|returned|broken)/g;

describe('the page about failover', () => {
  it('draws every step of the plan, and no other', () => {
    const drawn = new Set<string>();
    for (const line of DECISION_DIAGRAM.split('\n').slice(6)) {
      const states = [...line.matchAll(STATE_NAMES)];
      const [first, second] = states.map((match) => match[1] ?? '');
      if (first === 'waiting') drawn.add('trying ► waiting').add(`waiting ► ${second}`);
      else if (line.startsWith('trying') && second !== undefined) drawn.add(`trying ► ${second}`);
      else if (second !== undefined) {
        drawn.add('trying ► streaming').add(`streaming ► ${second}`);
      } else {
        drawn.add(`${line.startsWith(' '.repeat(20)) ? 'streaming' : 'trying'} ► ${first}`);
      }
    }
    expect([...drawn].sort()).toEqual([...stepsOfThePlan()].sort());
  });

  it('shows this diagram and this table', () => {
    const page = readFileSync(PAGE, 'utf8').replaceAll(/ {2,}(?=\|)/g, ' ');
    expect(page).toContain(DECISION_DIAGRAM);
    const cells = (text: string): string[] =>
      text.split('\n').filter((line) => line.startsWith('|') && !line.startsWith('| -'));
    const shown = cells(page.slice(page.indexOf('## Every decision')));
    const trimmed = (line: string): string => line.replaceAll(/\s+/g, ' ');
    expect(shown.map(trimmed)).toEqual(cells(renderDecisionTable()).map(trimmed));
  });
});
