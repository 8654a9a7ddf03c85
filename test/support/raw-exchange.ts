/**
 * Requests sent to a gateway over TLS as they are written, and what comes back, byte for byte: so that two gateways can be compared.
 *
 * `{name}` in a request stands for the cookie of that name which the gateway set last, in this talk or one before it with the same jar.
 */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { Millis } from '../../src/core/tunnel/packet.ts';

export interface RawTalk {
  readonly host: string;
  readonly port: number;
  /** For SNI. */
  readonly name?: string;
  /** PEM of a client certificate and its key. */
  readonly certificate?: { readonly cert: string; readonly key: string };
  readonly maxVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** One after the other on one connection, each after the answer to the one before. */
  readonly requests: readonly string[];
  /** Cookies from before. */
  readonly cookies?: Readonly<Record<string, string>>;
  /** For the end of the connection, after a whole answer. Default 300: on a busy machine an end may come later, and be taken for none. */
  readonly endPatience?: Millis;
}

export interface RawAnswers {
  /** Whole responses; the last may be cut, or empty where none came. */
  readonly answers: readonly string[];
  /** What the connection came to after the last request: `open`, `end`, or the error's code. */
  readonly end: string;
  readonly cookies: Readonly<Record<string, string>>;
}

/** A gateway that neither answers nor closes for so long does neither. */
const PATIENCE_MS = 10_000;
export async function talkRaw(talk: RawTalk): Promise<RawAnswers> {
  const { host, port, name, certificate, maxVersion, endPatience = 300 } = talk;
  const socket = connect({
    host,
    port,
    rejectUnauthorized: false,
    ...(name !== undefined && { servername: name }),
    ...certificate,
    ...(maxVersion !== undefined && { maxVersion }),
  });
  const reader = new RawReader(socket);
  const cookies: Record<string, string> = { ...talk.cookies };
  const answers: string[] = [];
  try {
    await Promise.race([once(socket, 'secureConnect'), reader.ended]);
    for (const request of talk.requests) {
      if (reader.end !== 'open') break;
      socket.write(request.replace(/\{(\w+)\}/g, (_, cookie: string) => cookies[cookie] ?? ''));
      const answer = await reader.answer(PATIENCE_MS);
      answers.push(answer);
      for (const [, key = '', value = ''] of answer.matchAll(/^Set-Cookie: (\w+)=([^;\r]*)/gim)) cookies[key] = value;
    }
    await Promise.race([reader.ended, new Promise((resolve) => setTimeout(resolve, endPatience))]);
    return { answers, end: reader.end, cookies };
  } finally {
    socket.destroy();
  }
}

class RawReader {
  readonly ended: Promise<void>;
  end = 'open';
  #bytes = Buffer.alloc(0);
  #wake: () => void = () => undefined;

  constructor(socket: TLSSocket) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    const ends = (how: string) => {
      if (this.end === 'open') this.end = how;
      resolve();
      this.#wake();
    };
    socket.on('data', (bytes: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
      this.#wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => ends(error.code ?? error.message));
    socket.on('end', () => setImmediate(() => ends('end'))); // an alert comes first, and is told a moment later
    socket.on('close', () => ends('close'));
  }

  /** The next response, or what there is of it when the connection ends or the patience does. */
  async answer(patienceMs: number): Promise<string> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const length = lengthOf(this.#bytes);
      if (length !== undefined || this.end !== 'open' || Date.now() > deadline) {
        const taken = this.#bytes.subarray(0, length ?? this.#bytes.length);
        this.#bytes = this.#bytes.subarray(taken.length);
        return taken.toString();
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, Math.max(deadline - Date.now(), 0) + 1);
      await promise;
      clearTimeout(timer);
    }
  }
}

/** Bytes of the response at the front; undefined while it is not all there. */
function lengthOf(bytes: Buffer): number | undefined {
  const head = bytes.indexOf('\r\n\r\n');
  if (head < 0) return undefined;
  const body = Number(/^Content-Length: *(\d+)/im.exec(bytes.toString('latin1', 0, head))?.[1] ?? 0);
  return bytes.length >= head + 4 + body ? head + 4 + body : undefined;
}
