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

/** Noes, one after the other, after which a session is taken for over (spec 9). */
const MAX_REFUSALS = 2;

/** What a session's requests for a tunnel have come to: a no of a gateway that is about to restart is not the end (spec 7). */
export class TunnelRequests {
  #hasHadTunnel = false;
  #refusals = 0;

  /**
   * What the answer to the last one means; undefined for a yes. Observed: a cookie that is dead from the start is to openconnect a failure like any other
   * (status 1, not 2); of one that had a tunnel we know better.
   */
  denial({ status, reason }: Pick<HttpResponse, 'status' | 'reason'>): CloseReason | undefined {
    if (status === 200 || status === 201) {
      this.#hasHadTunnel = true;
      this.#refusals = 0;
      return undefined;
    }
    const said = `${status} ${printable(reason)}`;
    if (status >= 300 && status < 500) {
      const message = `The gateway does not take the cookie for a tunnel (${said}).`;
      const isOver = ++this.#refusals >= MAX_REFUSALS;
      return { kind: this.#kind(isOver ? 'refused' : 'path-lost'), message, error: new PeerRefusedError(message) };
    }
    const message = `The gateway answered the request for a tunnel with ${said}.`;
    return { kind: this.#kind('path-lost'), message, error: new PeerMisbehavedError(message) };
  }

  #kind(ofReconnect: CloseReason['kind']): CloseReason['kind'] {
    return this.#hasHadTunnel ? ofReconnect : 'unusable';
  }
}
