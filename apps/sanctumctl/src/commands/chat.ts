import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';
import { loadInstance } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { Conversation } from '../chat/conversation.js';
import { serviceUrls } from '../instance/service-specs.js';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';

export interface ChatCommandOptions {
  readonly question: string | undefined;
  readonly model: string | undefined;
  readonly system: string | undefined;
  readonly maxTokens: number | undefined;
  readonly temperature: number | undefined;
}

/** One answer for an argument or piped text; a conversation in a terminal. */
export async function chat(
  site: Site,
  terminal: Terminal,
  options: ChatCommandOptions,
): Promise<void> {
  const { router } = serviceUrls(loadInstance(site.paths.instanceFile));
  if (router === undefined) {
    throw new SanctumError('config_invalid', 'instance.yaml enables no router to talk to.');
  }
  const conversation = new Conversation({ ...options, router }, options.system);
  if (options.question === undefined && site.environment.interactive) {
    await converse(conversation, terminal);
    return;
  }
  const question = options.question ?? (await text(process.stdin)).trim();
  await conversation.ask(question, write);
  terminal.say();
}

/** Ctrl-C cuts an answer short, or leaves when none is under way; Ctrl-D leaves. */
async function converse(conversation: Conversation, terminal: Terminal): Promise<void> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const prompt = terminal.style('bold', '> ');
  let answering: AbortController | undefined;
  lines.on('SIGINT', () => (answering === undefined ? lines.close() : answering.abort()));
  lines.setPrompt(prompt);
  lines.prompt();
  for await (const line of lines) {
    if (line.trim() !== '') {
      answering = new AbortController();
      await answer(conversation, terminal, { question: line, signal: answering.signal });
      answering = undefined;
    }
    lines.prompt();
  }
  terminal.say();
}

async function answer(
  conversation: Conversation,
  terminal: Terminal,
  asked: { readonly question: string; readonly signal: AbortSignal },
): Promise<void> {
  try {
    await conversation.ask(asked.question, write, asked.signal);
    terminal.say();
  } catch (error) {
    terminal.say(asked.signal.aborted ? ' …' : terminal.style('red', messageOf(error)));
  }
}

function write(piece: string): void {
  process.stdout.write(piece);
}
