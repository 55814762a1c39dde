/** The forms in which clients ask for a conversation's next turn. */
export const DIALECTS = ['chat', 'responses', 'messages'] as const;
export type Dialect = (typeof DIALECTS)[number];

/** Where each is posted to, below `/v1`. */
export const DIALECT_PATHS = {
  chat: '/chat/completions',
  responses: '/responses',
  messages: '/messages',
} as const satisfies Record<Dialect, string>;
