/**
 * A client's request for a tunnel, and what the answer means.
 *
 * Read first: spec "Juniper NC", section 5.1.
 */
import type { Target } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import type { HttpHeaders, HttpResponse } from '../../http/message.ts';
import { renderRequest } from '../../http/render.ts';
import type { CloseReason } from '../../tunnel/machine.ts';
import { printable, utf8 } from '../../wire/text.ts';
import { requestHeaders } from '../page-http.ts';
import { TUNNEL_TARGET } from './paths.ts';

/** Of a body that never comes. */
const BODY_LENGTH = utf8('Content-Length: 256\r\n\r\n');
const END_OF_HEAD = 2;

export function renderTunnelRequest(gateway: Target, userAgent: string, cookies: string | undefined): Uint8Array {
  const headers: HttpHeaders = [['Connection', 'close'], ...requestHeaders(gateway, userAgent, cookies), ['NCP-Version', '3']];
  const head = renderRequest({ method: 'POST', target: TUNNEL_TARGET, version: '1.1', headers, body: new Uint8Array(0) });
  // Nothing of ours says in a head what is not true, so the line that does not is added here.
  return Uint8Array.of(...head.subarray(0, -END_OF_HEAD), ...BODY_LENGTH);
}

/** Why there is no tunnel; undefined: there is one. */
export function denialIn({ status, reason }: HttpResponse): CloseReason | undefined {
  if (status === 200) return undefined;
  const said = `${status} ${printable(reason)}`;
  if (status === 302 || (status >= 400 && status < 500)) {
    const message = `The gateway does not take the cookie for a tunnel (${said}).`;
    return { kind: 'refused', message, error: new PeerRefusedError(message) };
  }
  const error = new PeerMisbehavedError(`The gateway answered the request for a tunnel with ${said}.`);
  return { kind: 'path-lost', message: error.message, error };
}
