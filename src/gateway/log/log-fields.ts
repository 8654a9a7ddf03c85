/** What may be seen of an event's fields: a {@link Secret} never, and neither what goes by the name of one. */
import type { LogFields } from '../../core/log.ts';
import { Secret } from '../../core/secret.ts';

/** Names under which a secret would have been written as plain text by mistake. */
const SECRET_NAMES = /pass(word|phrase|wd)|cookie|secret|token|bearer|private|otp|pin$|authorization/i;

/** One value is no longer than this, in characters: clients choose some of them. */
const MAX_VALUE_LENGTH = 2048;

export type VisibleFields = Readonly<Record<string, string | number | boolean>>;

export function visibleFields(fields: LogFields): VisibleFields {
  const visible: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (value instanceof Secret || (typeof value === 'string' && SECRET_NAMES.test(name))) visible[name] = '[secret]';
    else visible[name] = typeof value === 'string' ? shortened(value) : value;
  }
  return visible;
}

function shortened(value: string): string {
  return value.length <= MAX_VALUE_LENGTH ? value : `${value.slice(0, MAX_VALUE_LENGTH)}…`;
}
