/**
 * A port that drops what comes to it without a word, as a firewall does: its listener is in a thread that stands still, and its queue is full (Linux drops SYNs
 * then).
 */
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';

/** The kernel takes one more than it is told. */
const BACKLOG = 1;

const PROGRAM = `
  const { createServer } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  const server = createServer().listen({ host: workerData.host, port: 0, backlog: ${BACKLOG} }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(workerData.gate, 0, 0);
    process.exit();
  });
`;

export class SilentListener implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly #worker: Worker;
  readonly #gate: Int32Array;
  readonly #queued: readonly Socket[];

  private constructor(host: string, port: number, worker: Worker, gate: Int32Array, queued: readonly Socket[]) {
    this.host = host;
    this.port = port;
    this.#worker = worker;
    this.#gate = gate;
    this.#queued = queued;
  }

  static async start(host = '127.0.0.2'): Promise<SilentListener> {
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(PROGRAM, { eval: true, workerData: { host, gate } });
    const [port] = (await once(worker, 'message')) as [number];
    const queued = Array.from({ length: BACKLOG + 1 }, () => net.connect({ host, port }).on('error', () => undefined));
    await Promise.all(queued.map((socket) => once(socket, 'connect')));
    return new SilentListener(host, port, worker, gate, queued);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#queued) socket.destroy();
    Atomics.store(this.#gate, 0, 1);
    Atomics.notify(this.#gate, 0);
    await this.#worker.terminate();
  }
}
