/** What is asked on the control socket, as both ends know it. */
import type { Millis } from '../../core/tunnel/packet.ts';

export type ControlRequest =
  | { readonly verb: 'status' | 'users' | 'sessions' | 'bans' | 'reload' | 'stop' }
  /** After the event of this number; absent: nothing but the number of the newest. */
  | { readonly verb: 'events'; readonly after?: number | undefined }
  | { readonly verb: 'disconnect-user'; readonly name: string }
  | { readonly verb: 'disconnect-id'; readonly id: number }
  | { readonly verb: 'unban'; readonly address: string }
  | { readonly verb: 'maintain'; readonly isOn: boolean };

/** How long a watcher's question may stay open; then it is answered with nothing, and asked again. */
export const EVENT_WAIT: Millis = 20_000;

/** Of a user's name in a request, in characters. */
export const MAX_NAME_LENGTH = 1024;
