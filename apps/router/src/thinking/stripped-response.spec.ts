import { expect, it } from '@jest/globals';
import { answerTo } from '../dialects/one-answer.fixture.js';

it.each(['\u2028', '\u2029'])('strips an event with a raw %j, which ends no line', async (raw) => {
  const said = { content: `<think>hm${raw}hm</think>four${raw}` };
  const chunk = { choices: [{ index: 0, delta: said, finish_reason: 'stop' }] };
  const text = await answerTo(
    '/v1/chat/completions',
    { messages: [{ role: 'user', content: 'x' }], stream: true },
    {
      type: 'text/event-stream',
      body: `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`,
      settings: { strip_thinking: true },
    },
  );
  const [event = ''] = text.split('\n\n');
  expect(JSON.parse(event.slice('data: '.length))).toMatchObject({
    choices: [{ delta: { content: `four${raw}` } }],
  });
});
