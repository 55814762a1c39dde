import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEnvironment } from '../env.js';
import { locateSite, type Site } from '../instance/site.js';
import { createProgram } from '../program.js';
import { Terminal } from '../terminal/terminal.js';

/** The checkout these sources lie in. */
export const CHECKOUT = fileURLToPath(new URL('../../../..', import.meta.url)).replace(/\/$/, '');

/** Somebody who runs commands of sanctumctl, in this process, against one home. */
export class Operator {
  readonly folder: string;
  /** Exit codes that commands asked for. */
  codes: number[] = [];
  /** What the last command printed. */
  output = '';

  /** In a home of its own by default. */
  constructor(folder = mkdtempSync(join(tmpdir(), 'sanctumctl-operator-'))) {
    this.folder = folder;
  }

  get site(): Site {
    return locateSite({ ...readEnvironment(), checkout: CHECKOUT, home: this.folder }, undefined);
  }

  /** One command; what it printed. */
  async run(...args: readonly string[]): Promise<string> {
    this.output = '';
    const program = createProgram({
      terminal: new Terminal({ write: (text: string) => (this.output += text) }),
      site: () => this.site,
      fail: (code) => this.codes.push(code),
    });
    await program.parseAsync(args, { from: 'user' });
    return this.output;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
