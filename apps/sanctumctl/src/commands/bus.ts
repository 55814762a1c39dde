import { jetstreamManager } from '@nats-io/jetstream';
import { SanctumError } from '@sanctum/errors';
import { readDeadLetters, replayDeadLetter } from '../bus/dead-letters.js';
import { withNats } from '../bus/operator-connection.js';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';

/** What each stream holds, and how much it may. */
export async function busStreams(
  site: Site,
  terminal: Terminal,
  options: { readonly json: boolean },
): Promise<void> {
  const streams = await withNats(site, async (connection) => {
    const manager = await jetstreamManager(connection, { checkAPI: false });
    const infos = await manager.streams.list().next();
    return infos.map(({ config, state }) => ({
      name: config.name,
      subjects: config.subjects,
      messages: state.messages,
      messagesMax: config.max_msgs,
      bytes: state.bytes,
      bytesMax: config.max_bytes,
      consumers: state.consumer_count,
      first: state.first_ts,
      last: state.last_ts,
    }));
  });
  if (options.json) {
    terminal.say(JSON.stringify(streams, null, 2));
    return;
  }
  if (streams.length === 0) {
    terminal.say('No stream yet: a service makes its streams when it connects.');
    return;
  }
  terminal.table([
    ['stream', 'messages', 'of', 'bytes', 'of', 'consumers', 'last'],
    ...streams.map((stream) => [
      stream.name,
      String(stream.messages),
      String(stream.messagesMax),
      String(stream.bytes),
      String(stream.bytesMax),
      String(stream.consumers),
      stream.messages === 0 ? '-' : stream.last.slice(0, 19),
    ]),
  ]);
}

export async function busDeadLetters(
  site: Site,
  terminal: Terminal,
  options: { readonly json: boolean },
): Promise<void> {
  const letters = await withNats(site, readDeadLetters);
  if (options.json) {
    terminal.say(JSON.stringify(letters, null, 2));
    return;
  }
  if (letters.length === 0) {
    terminal.say('No dead letters.');
    return;
  }
  terminal.table([
    ['number', 'at', 'subject', 'consumer', 'deliveries', 'reason'],
    ...letters.map((letter) => [
      String(letter.number),
      letter.at.slice(0, 19),
      letter.message?.subject ?? `${letter.stream} ${letter.sequence} (gone)`,
      letter.consumer,
      String(letter.deliveries),
      letter.reason,
    ]),
  ]);
}

/** Says dead letters again. Throws `config_invalid` for a number that is none. */
export async function busReplay(
  site: Site,
  terminal: Terminal,
  wanted: 'all' | readonly number[],
): Promise<void> {
  await withNats(site, async (connection) => {
    const letters = await readDeadLetters(connection);
    const known = new Map(letters.map((letter) => [letter.number, letter]));
    const chosen = wanted === 'all' ? letters : wanted.map((number) => known.get(number));
    const missing = chosen.indexOf(undefined);
    if (missing !== -1 && wanted !== 'all') {
      throw new SanctumError(
        'config_invalid',
        `There is no dead letter ${wanted[missing]}: \`sanctumctl bus dlq\` lists them.`,
      );
    }
    for (const letter of chosen) {
      if (letter === undefined) continue;
      const done = await replayDeadLetter(connection, letter);
      const what = letter.message?.subject ?? `${letter.stream} ${letter.sequence}`;
      terminal.say(`${done ? 'replayed' : 'gone    '}  ${letter.number}  ${what}`);
    }
    if (chosen.length === 0) terminal.say('No dead letters.');
  });
}
