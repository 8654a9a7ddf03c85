/**
 * The request for a tunnel on a stream. A gateway that grants it says nothing and speaks PPP; one that does not answers by HTTP.
 *
 * Read first: spec "Fortinet", section 4.
 */
import type { Target } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../errors.ts';
import type { HttpResponse } from '../../http/message.ts';
import { renderRequest } from '../../http/render.ts';
import { ResponseParser } from '../../http/response-parser.ts';
import type { PrologueResult, StreamPrologue } from '../../ppp/prologue.ts';
import type { Secret } from '../../secret.ts';
import type { CloseReason } from '../../tunnel/machine.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { printable, utf8 } from '../../wire/text.ts';
import { requestHeaders } from '../page-http.ts';
import { PATHS } from './paths.ts';
import { SESSION_COOKIE } from './session-cookie.ts';

/** An answer that is one of HTTP's begins so, and no frame of PPP does: it would be too long. */
const HTTP = utf8('HTTP/');

export class TunnelRequest implements StreamPrologue {
  readonly request: Uint8Array;
  readonly startsAtOnce = true;
  readonly #parser = new ResponseParser();
  #received: Uint8Array = new Uint8Array(0);
  #isHttp = false;

  constructor(gateway: Target, userAgent: string, cookie: Secret) {
    const target = { ...gateway, path: PATHS.tunnel };
    const headers = requestHeaders(target, userAgent, `${SESSION_COOKIE}=${cookie.reveal()}`);
    this.request = renderRequest({ method: 'GET', target: PATHS.tunnel, version: '1.1', headers, body: new Uint8Array(0) });
    this.#parser.expect('GET');
  }

  receive(bytes: Uint8Array): PrologueResult {
    if (this.#isHttp) return this.#answered(bytes);
    this.#received = new ByteWriter().bytes(this.#received).bytes(bytes).finish();
    const received = this.#received;
    const isSame = HTTP.every((byte, i) => received[i] === undefined || received[i] === byte);
    if (!isSame) return { type: 'begun', rest: received };
    if (received.length < HTTP.length) return { type: 'waiting' };
    this.#isHttp = true;
    return this.#answered(received);
  }

  #answered(bytes: Uint8Array): PrologueResult {
    try {
      this.#parser.push(bytes);
      const answer = this.#parser.next()?.message;
      return answer === undefined ? { type: 'waiting' } : { type: 'denied', reason: denial(answer) };
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      return { type: 'denied', reason: { kind: 'misbehaved', message: error.message, error } };
    }
  }
}

/** Whatever sends us back to the log-in means that the cookie is no longer good. */
export function denial({ status, reason }: Pick<HttpResponse, 'status' | 'reason'>): CloseReason {
  const said = `${status} ${printable(reason)}`;
  if (status >= 300 && status < 500) {
    const message = `The gateway does not take the cookie for a tunnel (${said}).`;
    return { kind: 'refused', message, error: new PeerRefusedError(message) };
  }
  const message = `The gateway answered the request for a tunnel with ${said}.`;
  return { kind: 'unusable', message, error: new PeerMisbehavedError(message) };
}
