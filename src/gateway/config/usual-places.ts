/** Where a gateway keeps what outlives it, and where it is spoken to, unless its configuration says: root's places, or an ordinary user's own. */
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';

export interface UsualPlaces {
  /** Beside it are sessions and leases. */
  readonly state: string;
  readonly controlSocket: string;
}

/** Read first: the XDG Base Directory Specification. */
export function usualPlaces(uid: number | undefined = process.getuid?.(), environment: NodeJS.ProcessEnv = process.env): UsualPlaces {
  if (uid === 0) return { state: '/var/lib/sallyport/gateway', controlSocket: '/run/sallyport/control' };
  const { XDG_STATE_HOME: stateHome, XDG_RUNTIME_DIR: runtime } = environment;
  const state = path.join(stateHome || path.join(homedir(), '.local', 'state'), 'sallyport', 'gateway');
  const folder = runtime || path.join(tmpdir(), `sallyport-${uid ?? 'gateway'}`);
  return { state, controlSocket: path.join(folder, 'sallyport-gateway', 'control') };
}
