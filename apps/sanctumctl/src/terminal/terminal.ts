import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const;
const SPINNER_INTERVAL_MS = 80;

export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** What a step shows while it runs. */
export interface StepProgress {
  update(detail: string): void;
}

/** Human output: one line per step, a spinner where somebody watches. */
export class Terminal {
  readonly #tty: boolean;

  constructor(private readonly output: Output) {
    this.#tty = output.isTTY === true;
  }

  say(text = ''): void {
    this.output.write(`${text}\n`);
  }

  style(style: Style, text: string): string {
    return this.#tty ? styleText(style, text) : text;
  }

  /**
   * Runs `work` under a line `label`; what it returns as `detail` stays beside the tick. When it
   * throws the line shows a cross, and the error goes on.
   */
  async step<T>(
    label: string,
    work: (progress: StepProgress) => Promise<{ readonly value: T; readonly detail?: string }>,
  ): Promise<T> {
    const line = new StepLine({ output: this.output, label, tty: this.#tty });
    try {
      const { value, detail } = await work(line);
      line.end(this.style('green', '✓'), detail ?? '');
      return value;
    } catch (error) {
      line.end(this.style('red', '✗'), '');
      throw error;
    }
  }

  /** Columns padded to their widest cell. */
  table(rows: readonly (readonly string[])[]): void {
    const widths = rows.reduce<number[]>((widest, row) => {
      row.forEach((cell, column) => {
        widest[column] = Math.max(widest[column] ?? 0, visible(cell).length);
      });
      return widest;
    }, []);
    for (const row of rows) {
      const cells = row.map((cell, column) => {
        const missing = (widths[column] ?? 0) - visible(cell).length;
        return column === row.length - 1 ? cell : cell + ' '.repeat(missing);
      });
      this.say(cells.join('  ').trimEnd());
    }
  }
}

class StepLine implements StepProgress {
  readonly #output: Output;
  readonly #label: string;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #startedAt = performance.now();
  #frame = 0;
  #detail = '';

  constructor(options: { readonly output: Output; readonly label: string; readonly tty: boolean }) {
    this.#output = options.output;
    this.#label = options.label;
    if (options.tty) {
      this.#draw();
      this.#timer = setInterval(() => this.#draw(), SPINNER_INTERVAL_MS);
    }
  }

  update(detail: string): void {
    this.#detail = detail;
  }

  end(mark: string, detail: string): void {
    clearInterval(this.#timer);
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    const said = [detail, `${seconds} s`].filter((part) => part !== '').join(', ');
    this.#output.write(
      `${this.#timer === undefined ? '' : '\r\u001b[K'}${mark} ${this.#label}  ${said}\n`,
    );
  }

  #draw(): void {
    const frame = SPINNER[this.#frame % SPINNER.length] ?? '';
    this.#frame += 1;
    this.#output.write(`\r\u001b[K${frame} ${this.#label}  ${this.#detail}`);
  }
}

function visible(text: string): string {
  // eslint-disable-next-line no-control-regex -- escape sequences take no room
  return text.replaceAll(/\u001b\[[0-9;]*m/g, '');
}
