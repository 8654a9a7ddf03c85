/**
 * Camouflage: until a client has shown the secret, the gateway answers like a web site that has nothing for it.
 *
 * Read first: spec "AnyConnect", section 11.11.
 *
 *   closed ── GET or POST with `?secret`, or a cookie that only a log-in gives ──► open, for the rest of the connection
 */
import { equalInConstantTime } from '../../crypto/constant-time.ts';
import type { HttpRequest } from '../../http/message.ts';
import { utf8 } from '../../wire/text.ts';
import type { HostPage } from '../gateway-protocol.ts';
import { type GatewayAnswer, notFound, refusal } from './gateway-answer.ts';

export class Camouflage {
  readonly #settings: HostPage['camouflage'];
  #isOpen: boolean;

  /** Undefined: there is none. */
  constructor(settings: HostPage['camouflage']) {
    this.#settings = settings;
    this.#isOpen = settings === undefined;
  }

  get isOn(): boolean {
    return !this.#isOpen;
  }

  open(): void {
    this.#isOpen = true;
  }

  /** The request without the secret in its path; undefined if it is not let through. */
  admitted(request: HttpRequest): HttpRequest | undefined {
    if (this.#settings === undefined) return request;
    const at = request.target.indexOf('?');
    const hasSecret = at >= 0 && equalInConstantTime(utf8(request.target.slice(at + 1)), utf8(this.#settings.secret.reveal()));
    if (hasSecret) this.open();
    if (!this.#isOpen) return undefined;
    return hasSecret ? { ...request, target: request.target.slice(0, at) } : request;
  }

  refused(request: HttpRequest): GatewayAnswer {
    const realm = this.#settings?.realm;
    if (realm === undefined) return notFound(request);
    const challenge = `Basic realm="${realm.replace(/[^ !#-[\]-~]/g, '')}"`;
    return refusal(request, 401, 'Unauthorized', [
      ['WWW-Authenticate', challenge],
      ['Content-Length', '0'],
    ]);
  }

  /** A web site knows no CONNECT. */
  connectRefused(request: HttpRequest): GatewayAnswer {
    return refusal(request, 405, 'Method Not Allowed', [['Content-Length', '0']]);
  }
}
