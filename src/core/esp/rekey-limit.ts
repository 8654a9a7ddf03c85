/** How many of a gateway's keys a client answers: each costs both ends work, and a gateway changes its own every quarter of an hour or so. */
import { AnswerLimit } from '../tunnel/answer-limit.ts';
import type { Millis } from '../tunnel/packet.ts';

const MAX_ANSWERS = 16;
const ANSWER_PERIOD: Millis = 60_000;

export function rekeyLimit(): AnswerLimit {
  return new AnswerLimit(MAX_ANSWERS, ANSWER_PERIOD);
}
