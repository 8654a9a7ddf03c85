/** Runs {@link talkRaw} in a namespace, for a test outside of it. */
import { talkRaw } from './raw-exchange.ts';
import { serveCalls } from './remote-calls.ts';

const calls = { talkRaw };

export type RawExchangeCalls = typeof calls;

serveCalls(calls);
