/** ocserv's control tool: who is connected, and ending a session from the gateway's side. Read first: spec "Gateway contract", section 4. */
import assert from 'node:assert/strict';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import type { Namespace } from './namespaces.ts';
import type { Command } from './openconnect.ts';
import type { Finished } from './program.ts';

/** One session of `show users`, the parts that tests look at; the others are there under occtl's names too. */
export interface OcctlUser {
  readonly ID: number;
  /** Observed: 1.1.6 writes U+00FF for each byte that is not ASCII. */
  readonly Username: string;
  readonly Groupname: string;
  readonly State: string;
  readonly Device: string;
  readonly MTU: string;
  readonly 'Remote IP': string;
  readonly IPv4?: string;
  readonly IPv6?: string;
  readonly 'User-Agent': string;
  readonly Hostname?: string;
  readonly RX: string;
  readonly TX: string;
  readonly Session: string;
  readonly 'TLS ciphersuite': string;
  readonly 'DTLS cipher'?: string;
  readonly 'CSTP compression'?: string;
  readonly 'DTLS compression'?: string;
  readonly [key: string]: unknown;
}

/** A gateway learns of a log-off a moment after the client has ended; on a busy machine it is a long one. */
const LOG_OFF_LIMIT: Millis = 30_000;

export class Occtl {
  readonly #namespace: Namespace;
  readonly #socket: string;
  readonly #command: Command;

  constructor(namespace: Namespace, socket: string, command: Command = ['occtl']) {
    this.#namespace = namespace;
    this.#socket = socket;
    this.#command = command;
  }

  /** Runs any command: `run('show', 'status')`. */
  run(...words: readonly string[]): Promise<Finished> {
    const [program, ...leading] = this.#command;
    return this.#namespace.finish(program, [...leading, '--socket-file', this.#socket, ...words]);
  }

  /** The answer to a `show` command, parsed. Rejects if the command fails. */
  async show(...words: readonly string[]): Promise<unknown> {
    const { code, stdout, stderr } = await this.run('--json', 'show', ...words);
    if (code !== 0) throw new Error(`occtl show ${words.join(' ')} ended with code ${code}: ${stderr || stdout}`);
    return stdout.trim() === '' ? [] : parseOcctlJson(stdout);
  }

  /** Everyone who is connected or connecting. */
  async users(): Promise<readonly OcctlUser[]> {
    return (await this.show('users')) as readonly OcctlUser[];
  }

  /** Sessions that can be used, connected or not: what a cookie stands for. */
  async sessions(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return (await this.show('sessions', 'valid')) as readonly Readonly<Record<string, unknown>>[];
  }

  /** Waits until no session can be used any more. Throws after {@link LOG_OFF_LIMIT}. */
  assertNoSessions(): Promise<void> {
    return untilEmpty(() => this.sessions());
  }

  /** Waits until nobody of that name is connected. Throws after {@link LOG_OFF_LIMIT}. */
  assertNoUser(name: string): Promise<void> {
    return untilEmpty(async () => (await this.users()).filter(({ Username }) => Username === name));
  }

  /** Ends all sessions of a user; their cookies die with them. Rejects if there is none. */
  async disconnectUser(name: string): Promise<void> {
    const { code, stdout, stderr } = await this.run('disconnect', 'user', name);
    if (code !== 0) throw new Error(`occtl could not disconnect ${name}: ${stderr || stdout}`);
  }
}

async function untilEmpty(look: () => Promise<readonly unknown[]>): Promise<void> {
  const deadline = performance.now() + LOG_OFF_LIMIT;
  let left = await look();
  while (left.length > 0 && performance.now() < deadline) left = await look();
  assert.deepEqual(left, []);
}

/** Reads what occtl 1.1.6 calls JSON: it leaves a comma behind the last member of a session (spec "Gateway contract", section 4). */
export function parseOcctlJson(text: string): unknown {
  // A string is matched first and kept, so that nothing inside one is taken for a comma.
  return JSON.parse(text.replace(/("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])/g, (_, string: string | undefined) => string ?? ''));
}
