/**
 * The user's host checker: lines to a program that speaks with the gateway, and what it answers.
 *
 * Read first: spec "Juniper NC", sections 4.1 and 4.2.
 *
 *   us ── start, gateway, cookie, policy ──► the program ◄──► the gateway
 *   us ◄─ 200, another cookie, interval ──── the program
 *   us ── setcookie, again and again ──────► the program      while there is a session
 */
import type { HelperConnection } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { joined } from '../../wire/copy.ts';
import { fromUtf8, printable, utf8 } from '../../wire/text.ts';

/** Of a line, in bytes. */
const MAX_LINE_LENGTH = 1023;

/** In the place of a policy that is not known. */
const NO_POLICY = 'null';

const LINE_END = 0x0a;
const SECOND: Millis = 1000;

export interface CheckResult {
  /** Takes the place of the one that the check began with. */
  readonly cookie: string;
  /** How often it wants to be told the cookie; undefined: not again. */
  readonly interval: Millis | undefined;
}

export function renderStart(gateway: string, cookie: string, policy: string | undefined): Uint8Array {
  return utf8(`start\nIC=${gateway}\nCookie=${cookie}\nDSSIGNIN=${policy ?? NO_POLICY}\n`);
}

export function renderSetCookie(cookie: string): Uint8Array {
  return utf8(`setcookie\nCookie=${cookie}\n`);
}

/**
 * What follows the interval means nothing, and is left. Rejects with PeerRefusedError where the program says no, PeerMisbehavedError for what is no answer,
 * and as reading does.
 */
export async function readCheckResult(connection: Pick<HelperConnection, 'read'>): Promise<CheckResult> {
  const lines = new Lines(connection);
  const status = await lines.next();
  if (status !== '200') throw new PeerRefusedError(`The host checker has failed: ${printable(status).slice(0, 40)}.`);
  await lines.next();
  const cookie = await lines.next();
  if (cookie === '' || /[^\x21-\x7e]|[;,]/.test(cookie)) throw new PeerMisbehavedError('The host checker gives a cookie that is none.');
  const text = await lines.next();
  if (!/^\d{0,6}$/.test(text)) throw new PeerMisbehavedError('The host checker gives an interval that is none.');
  return { cookie, interval: Number(text) > 0 ? Number(text) * SECOND : undefined };
}

class Lines {
  readonly #connection: Pick<HelperConnection, 'read'>;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(connection: Pick<HelperConnection, 'read'>) {
    this.#connection = connection;
  }

  async next(): Promise<string> {
    for (;;) {
      const end = this.#bytes.indexOf(LINE_END);
      if (end > MAX_LINE_LENGTH || (end < 0 && this.#bytes.length > MAX_LINE_LENGTH)) {
        throw new PeerMisbehavedError('The host checker writes a line that is too long.');
      }
      if (end >= 0) {
        const line = fromUtf8(this.#bytes.subarray(0, end));
        this.#bytes = this.#bytes.subarray(end + 1);
        return line;
      }
      this.#bytes = joined(this.#bytes, await this.#connection.read());
    }
  }
}
