import { describe, expect, it } from '@jest/globals';
import { NotFoundException } from '@nestjs/common';
import { errorReply } from './http-error.js';

describe('an error answer', () => {
  it('names the route that is not there, without its query', () => {
    const error = new NotFoundException('Cannot POST /v1/nothing?api_key=hunter2&x=/y?z=hunter2');
    const { status, body } = errorReply(error, 'engine');
    expect(status).toBe(404);
    expect(body).toContain('Cannot POST /v1/nothing');
    expect(body).not.toContain('hunter2');
  });

  it('keeps a question mark that is none of a query', () => {
    expect(errorReply(new NotFoundException('Which one? None.'), 'engine').body).toContain(
      'Which one? None.',
    );
  });
});
