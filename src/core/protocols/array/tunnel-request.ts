/**
 * The request for a tunnel, and what a gateway's answer to it means.
 *
 * Read first: spec "Array", section 3.
 */
import type { Target } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import type { HttpResponse } from '../../http/message.ts';
import { renderRequest } from '../../http/render.ts';
import type { CloseReason } from '../../tunnel/machine.ts';
import { printable } from '../../wire/text.ts';
import { requestHeaders } from '../page-http.ts';
import { PATHS } from './paths.ts';

export interface TunnelWish {
  readonly userAgent: string;
  /** The value of the header `Cookie`. */
  readonly cookies: string;
  readonly clientId: string;
  readonly hostname: string;
}

/** In the order of the reference client, whose constants these are. */
export function renderTunnelRequest(gateway: Target, { userAgent, cookies, clientId, hostname }: TunnelWish): Uint8Array {
  const target = { ...gateway, path: PATHS.tunnel };
  const headers = [
    ...requestHeaders(target, userAgent, cookies),
    ['appid', 'SSPVPN'],
    ['clientid', clientId],
    ['cpuid', clientId],
    ['hostname', hostname.replace(/[^\w.-]/g, '_')],
    ['payload-ip-version', '6'],
    ['x-devtype', '6'],
  ] as const;
  return renderRequest({ method: 'GET', target: PATHS.tunnel, version: '1.1', headers, body: new Uint8Array(0) });
}

/**
 * Undefined for a yes. Observed: a cookie that is dead from the start is to openconnect a failure like any other (status 1, not 2); of one that had a
 * tunnel we know better.
 */
export function denial({ status, reason }: Pick<HttpResponse, 'status' | 'reason'>, isReconnect: boolean): CloseReason | undefined {
  if (status === 200 || status === 201) return undefined;
  const said = `${status} ${printable(reason)}`;
  if (status >= 300 && status < 500) {
    const message = `The gateway does not take the cookie for a tunnel (${said}).`;
    return { kind: isReconnect ? 'refused' : 'unusable', message, error: new PeerRefusedError(message) };
  }
  const message = `The gateway answered the request for a tunnel with ${said}.`;
  return { kind: 'unusable', message, error: new PeerMisbehavedError(message) };
}
