/** `show events`: who is there, then who comes and goes, until somebody presses q. */
import type { ControlTarget, SessionEvent } from '../../gateway/control/control-target.ts';
import { durationText, plainText } from './human-text.ts';
import { usersTable } from './user-report.ts';

export interface WatchOptions {
  readonly isJson: boolean;
  readonly write: (text: string) => void;
  readonly complain: (text: string) => void;
  /** Ends the watching. */
  readonly signal: AbortSignal;
}

/** Resolves when the signal aborts. Rejects with {@link NetworkError} when the gateway goes. */
export async function watchEvents(target: ControlTarget, options: WatchOptions): Promise<void> {
  const { isJson, write, complain, signal } = options;
  let { last } = await target.events(undefined, signal);
  if (!isJson) {
    const [status, users] = [await target.status(), await target.users()];
    write(`${usersTable(users, status.now)}\nPress 'q' or CTRL+C to quit\n\n`);
  }
  while (!signal.aborted) {
    try {
      const page = await target.events(last, signal);
      if (page.missed > 0) complain(`${page.missed} events came too fast to be shown\n`);
      for (const event of page.events) write(isJson ? `${JSON.stringify(eventRecord(event))}\n` : eventLine(event));
      last = page.last;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/** Observed, word for word. */
function eventLine(event: SessionEvent): string {
  const { host, user, id, remote, address } = event;
  const who = `user '${plainText(user)}' (${id}) from ${remote} with IP ${address}`;
  if (event.type === 'connected') return `${host}: connected ${who}\n`;
  return `${host}: disconnect ${who} (reason: ${event.reason}, time: ${durationText(event.duration)})\n`;
}

/** An object a line, because there is no end to it. Observed: 1.1.6 prints a list of users, then tries to look up users that have gone. */
function eventRecord(event: SessionEvent): object {
  return {
    Event: event.type,
    ID: event.id,
    Username: event.user,
    vhost: event.host,
    'Remote IP': event.remote,
    IP: event.address,
    At: new Date(event.at).toISOString(),
    ...(event.type === 'disconnected' && {
      Reason: event.reason,
      Duration: durationText(event.duration),
      raw_duration: Math.floor(event.duration / 1000),
    }),
  };
}
