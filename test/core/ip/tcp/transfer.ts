/** A transfer over a pair of stacks, with hashes at both ends. */
import { createHash } from 'node:crypto';
import type { TcpConnection } from '../../../../src/core/ip/tcp/connection.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import type { StackPair } from '../stack-pair.ts';

/** Bytes that come again with the seed. */
export function patternOf(length: number, seed: number): Uint8Array {
  const random = new SeededRandom(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = random.uint32();
  return new Uint8Array(words.buffer, 0, length);
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Writes all of it as there is room, then ends. */
export function writeAll(connection: TcpConnection, bytes: Uint8Array, onReady?: () => void): void {
  let at = 0;
  const write = () => {
    at += connection.write(bytes, at);
    if (at === bytes.length) connection.end();
    onReady?.();
  };
  connection.onReady = write;
  write();
}

/** Reads until the end, and hashes. */
export class Reader {
  readonly #hash = createHash('sha256');
  readonly #connection: TcpConnection;
  length = 0;
  hasEnded = false;
  #digest = '';

  constructor(connection: TcpConnection) {
    this.#connection = connection;
  }

  /** For `onReady`. */
  look(): void {
    for (let chunk = this.#connection.read(); chunk !== undefined; chunk = this.#connection.read()) {
      this.#hash.update(chunk);
      this.length += chunk.length;
    }
    if (this.#connection.hasEnded && !this.hasEnded) {
      this.hasEnded = true;
      this.#digest = this.#hash.digest('hex');
    }
  }

  get hash(): string {
    return this.#digest;
  }
}

export interface Exchange {
  readonly client: TcpConnection;
  readonly server: TcpConnection;
  readonly atServer: Reader;
  readonly atClient: Reader;
}

/** Sends `up` from left to right and `down` back, at the same time, on one new connection. Both ends end their side. */
export function exchange(pair: StackPair, port: number, up: Uint8Array, down: Uint8Array, limit: number, family: 4 | 6 = 4): Exchange {
  const listener = pair.right.stack.listen(port);
  const client = pair.connect(port, family);
  const atClient = new Reader(client);
  writeAll(client, up, () => atClient.look());
  let server: TcpConnection | undefined;
  let atServer: Reader | undefined;
  listener.onReady = () => {
    const accepted = listener.accept();
    if (accepted === undefined) return;
    server = accepted;
    const reader = new Reader(accepted);
    atServer = reader;
    writeAll(accepted, down, () => reader.look());
  };
  pair.runUntil(() => atServer?.hasEnded === true && atClient.hasEnded, limit);
  listener.close();
  if (server === undefined || atServer === undefined) throw new Error('nobody was accepted');
  return { client, server, atServer, atClient };
}
