/** A layer on a real UDP socket, for tests against other programs. Waiting is for events and for the layer's own timers only. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Layer } from '../../src/core/tunnel/layer.ts';
import { packetOf } from '../../src/core/tunnel/packet.ts';
import { DatagramSink } from './datagram-sink.ts';

export class UdpLayer<L extends Layer<unknown>> {
  readonly layer: L;
  readonly socket: Socket;
  /** Datagrams received, in order. */
  readonly received: Uint8Array[] = [];
  readonly #sink = new DatagramSink();
  readonly #leaving = new Set<Promise<void>>();
  #peerPort: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;

  private constructor(layer: L, socket: Socket, peerPort: number | undefined) {
    this.layer = layer;
    this.socket = socket;
    this.#peerPort = peerPort;
    socket.on('message', (datagram, from) => {
      this.#peerPort ??= from.port;
      this.received.push(new Uint8Array(datagram));
      layer.receive(datagram, performance.now(), this.#sink);
      this.#settle();
    });
  }

  /** Binds to a port of its own on loopback. Without a peer's port, the first datagram's sender is the peer. */
  static async open<L extends Layer<unknown>>(layer: L, peerPort?: number): Promise<UdpLayer<L>> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const opened = new UdpLayer(layer, socket, peerPort);
    opened.#settle();
    return opened;
  }

  get packets(): readonly Uint8Array[] {
    return this.#sink.packets;
  }

  /** Resolves when it is so; rejects after ten seconds. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    let late: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      late = setTimeout(() => reject(new Error(`${what}: not within 10 s; state ${JSON.stringify(this.layer.state)}`)), 10_000);
    });
    try {
      while (!isSo()) {
        const woken = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        await Promise.race([woken, limit]);
      }
    } finally {
      clearTimeout(late);
    }
  }

  send(payload: Uint8Array): void {
    this.layer.send(packetOf(payload), performance.now(), this.#sink);
    this.#settle();
  }

  /** Resolves when its last words have left. */
  async close(): Promise<void> {
    this.layer.close(performance.now(), this.#sink);
    this.#settle();
    clearTimeout(this.#timer);
    await Promise.all(this.#leaving);
    this.socket.close();
  }

  #settle(): void {
    for (const datagram of this.#sink.take()) {
      assert.ok(this.#peerPort !== undefined, 'a datagram for nobody');
      const port = this.#peerPort;
      const left = new Promise<void>((resolve, reject) => {
        this.socket.send(datagram, port, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
      });
      this.#leaving.add(left);
      left.then(
        () => this.#leaving.delete(left),
        () => undefined, // who closes hears of it
      );
    }
    clearTimeout(this.#timer);
    const due = this.layer.nextTimeout();
    if (due !== undefined) {
      const onTimer = () => {
        this.layer.handleTimeout(performance.now(), this.#sink);
        this.#settle();
      };
      this.#timer = setTimeout(onTimer, Math.max(0, due - performance.now()));
    }
    this.#wake();
  }
}
