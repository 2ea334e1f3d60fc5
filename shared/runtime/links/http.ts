/** What comes in at the public door, what goes out, and what the log says of it. */
export interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}
/** What the log says of it. Never the token. */
export interface Told {
  readonly what: 'shown' | 'answered' | 'refused' | 'invalid' | 'failed';
  readonly say: string;
  readonly incident?: string;
  readonly by?: string;
  readonly answer?: string;
}
export type Answered = readonly [HttpAnswer, Told];
