/**
 * A gateway's cookie of 256 bits as it goes on the wire, base64url without padding, which needs no escape anywhere and which every client reads whole
 * (openconnect's `--cookie` cuts at `=`), and back. What two vendors have in common.
 */
import { Secret } from '../secret.ts';

export function cookieOnWire(cookie: Secret): string {
  return cookie.reveal().replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

export function cookieOffWire(value: string): Secret {
  const base64 = value.replaceAll('-', '+').replaceAll('_', '/');
  return new Secret(base64 + '='.repeat((4 - (base64.length % 4)) % 4));
}
