import { describe, expect, it } from '@jest/globals';
import { Terminal } from './terminal.js';

function record(isTTY: boolean): { terminal: Terminal; text: () => string } {
  const pieces: string[] = [];
  const terminal = new Terminal({ isTTY, write: (piece: string) => pieces.push(piece) });
  return { terminal, text: () => pieces.join('') };
}

describe('Terminal', () => {
  it('prints one plain line per step where nobody watches', async () => {
    const { terminal, text } = record(false);
    const value = await terminal.step('model', () =>
      Promise.resolve({ value: 7, detail: 'verified' }),
    );
    expect(value).toBe(7);
    expect(text()).toMatch(/^✓ model {2}verified, \d+\.\d s\n$/);
  });

  it('marks a step that failed and passes the error on', async () => {
    const { terminal, text } = record(false);
    const failing = terminal.step('model', () => Promise.reject(new Error('bad')));
    await expect(failing).rejects.toThrow('bad');
    expect(text()).toMatch(/^✗ model /);
  });

  it('shows progress in a terminal and replaces it at the end', async () => {
    const { terminal, text } = record(true);
    await terminal.step('model', (progress) => {
      progress.update('50 %');
      return Promise.resolve({ value: undefined });
    });
    expect(text()).toContain('⠋ model');
    expect(text()).toContain('\r\u001b[K');
    expect(text()).toMatch(/✓.* model .* s\n$/);
  });

  it('aligns columns by what is seen, and leaves no trailing blanks', () => {
    const { terminal, text } = record(false);
    terminal.table([
      ['\u001b[32m●\u001b[39m', 'nats', ''],
      ['', 'engine', 'url'],
    ]);
    expect(text()).toBe('\u001b[32m●\u001b[39m  nats\n   engine  url\n');
  });
});
