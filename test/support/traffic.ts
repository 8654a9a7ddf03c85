/**
 * Traffic through a tunnel, and whether it arrived: ping, byte streams hashed at both ends, numbered datagrams.
 *
 * @example
 * const [client, server] = await Promise.all([TrafficPeer.start(lab.client), TrafficPeer.start(lab.server)]);
 * const target = await server.listen('10.77.0.1');
 * await client.transfer(target, { up: 20e6, down: 20e6 }); // throws unless both hashes agree
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import type { Namespace } from './namespaces.ts';
import { RemoteProgram } from './remote-calls.ts';
import type { DatagramReport, StreamResult, TrafficCalls } from './traffic-program.ts';

const PROGRAM = path.join(import.meta.dirname, 'traffic-program.ts');

export interface PingOptions {
  /** Default 3. */
  readonly count?: number;
  /** Between two. Default 20. */
  readonly interval?: Millis;
  /** Bytes of data in each. Default 56. */
  readonly size?: number;
  /**
   * For an answer, where none comes at all. Default 1000; whole seconds. Observed of iputils: once one has come, the last is only waited for as long
   * as an interval, or two of the longest round trips: on a busy machine answers may be missing that come after it.
   */
  readonly wait?: Millis;
  /** Goes on until `count` answers have come, at most this long; whole seconds. Default: sends `count`, whatever comes back. */
  readonly deadline?: Millis;
  /** Forbids fragments, here and on the way. Default false. */
  readonly isWhole?: boolean;
}

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly doubled: number;
  /** Round trips; undefined if nothing came back. */
  readonly average: Millis | undefined;
  /** What the command said. */
  readonly output: string;
}

/** Pings an IPv4 or IPv6 address. An answer that does not come is a result; an error of the command is not. */
export async function ping(namespace: Namespace, address: string, options: PingOptions = {}): Promise<PingResult> {
  const { count = 3, interval = 20, size = 56, wait = 1000, deadline, isWhole = false } = options;
  const args = [
    '-n',
    '-q',
    '-c',
    count,
    '-i',
    interval / 1000,
    '-s',
    size,
    '-W',
    Math.ceil(wait / 1000),
    ...(deadline === undefined ? [] : ['-w', Math.ceil(deadline / 1000)]),
    ...(isWhole ? ['-M', 'do'] : []),
    address,
  ];
  const { code, stdout, stderr } = await namespace.finish('ping', args.map(String));
  const totals = /(\d+) packets transmitted, (\d+) received(?:, \+(\d+) duplicates)?/.exec(stdout);
  if (totals === null) throw new Error(`ping ${address} ended with code ${code}: ${stderr || stdout}`);
  const average = /^rtt [^=]*= [\d.]+\/([\d.]+)\//m.exec(stdout)?.[1];
  const [sent = 0, received = 0, doubled = 0] = totals.slice(1).map((text) => Number(text ?? 0));
  return { sent, received, doubled, average: average === undefined ? undefined : Number(average), output: stderr + stdout };
}

/** Pings until `count` answers have come, however late each of them is. Throws if they have not after `deadline`, which is 5 seconds by default. */
export async function assertAnswers(namespace: Namespace, address: string, options: PingOptions = {}): Promise<void> {
  const { count = 3 } = options;
  const { received, output } = await ping(namespace, address, { deadline: 5_000, ...options });
  assert.ok(received >= count, `${received} answers of ${address}: ${output}`);
}

export interface TransferOptions {
  /** Bytes from the caller, and back. */
  readonly up: number;
  readonly down: number;
  /** Default 1. */
  readonly seed?: number;
  /** Each byte comes so many times in a row: 1, the default, cannot be compressed, 8 can well. */
  readonly repeats?: number;
}

/** Where a peer listens. */
export interface TrafficTarget {
  readonly host: string;
  readonly tcpPort: number;
  readonly udpPort: number;
  readonly peer: TrafficPeer;
}

/** A program in a namespace that makes traffic and receives it. */
export class TrafficPeer {
  readonly #remote: RemoteProgram<TrafficCalls>;
  /** Flows that others have sent here. */
  #flows = 0;

  private constructor(remote: RemoteProgram<TrafficCalls>) {
    this.#remote = remote;
  }

  static async start(namespace: Namespace): Promise<TrafficPeer> {
    const remote = await RemoteProgram.start<TrafficCalls>(namespace, PROGRAM);
    await remote.program.waitFor(/ready/);
    return new TrafficPeer(remote);
  }

  /** @param host An address of the peer's namespace. */
  async listen(host: string): Promise<TrafficTarget> {
    return { host, peer: this, ...(await this.#remote.call('listen', host)) };
  }

  /** Sends and receives that many bytes at once over one TCP connection. Throws unless each direction has the same SHA-256 at both ends. */
  async transfer(target: TrafficTarget, { up, down, seed = 1, repeats = 1 }: TransferOptions): Promise<StreamResult> {
    const result = await this.#remote.call('transfer', { host: target.host, port: target.tcpPort, up, down, seed, repeats });
    assert.equal(result.up.received, result.up.sent, `the ${up} bytes up did not arrive as they were sent (seed ${seed})`);
    assert.equal(result.down.received, result.down.sent, `the ${down} bytes down did not arrive as they were sent (seed ${seed})`);
    return result;
  }

  /** Sends numbered datagrams and reports what arrived. Throws if one was damaged; loss and order are for the caller to judge. */
  async sendDatagrams(
    target: TrafficTarget,
    { count, size, burst = 16 }: { count: number; size: number; burst?: number },
  ): Promise<DatagramReport> {
    const flow = ++target.peer.#flows;
    await this.#remote.call('sendDatagrams', { host: target.host, port: target.udpPort, flow, count, size, burst });
    const report = await target.peer.#remote.call('datagramReport', flow, count);
    assert.equal(report.damaged, 0, `${report.damaged} of ${count} datagrams were damaged`);
    return report;
  }

  async stop(): Promise<void> {
    await this.#remote.program.stop();
  }
}
