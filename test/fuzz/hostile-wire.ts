/** Under TLS: what is no TLS, and TLS whose bytes someone changes, holds back or cuts off on their way to the client. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Dice } from './dice.ts';
import { type Ending, gone, mutated, written } from './hostile-bytes.ts';
import type { Hostility, Moment } from './hostile-gateway.ts';
import type { Waiting } from './virtual-time.ts';

const HTTP_IN_THE_CLEAR = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');

/** Without a TLS stack: the bytes, then the end. */
export function notTls(dice: Dice): Hostility {
  const bytes = dice.pick<() => Uint8Array>([
    () => HTTP_IN_THE_CLEAR,
    () => dice.bytes(dice.between(1, 300)),
    () => alertRecord(dice),
    () => oversizedRecord(dice),
    () => new Uint8Array(0),
  ])();
  const ending = dice.pick<Ending>(['end', 'drop', 'reset', 'stall']);
  const isEndless = dice.oneIn(4);
  return {
    wire: async (socket, { signal, time }) => {
      if (bytes.length > 0) await written(socket, bytes);
      // TLS reads no further than the first record that is none.
      for (let i = 0; isEndless && i < 200 && !socket.destroyed && !signal.aborted; i++) {
        await written(socket, dice.oneIn(2) ? bytes : alertRecord(dice));
        if (i % 50 === 49) await time.sleep(100, signal);
      }
      await finish(socket, ending, signal);
      return undefined;
    },
  };
}

/** Real TLS, from some byte on not what the gateway wrote. */
export function damagedTls(dice: Dice): Hostility {
  const from = dice.pick([dice.below(200), dice.below(3000), dice.below(20_000)]);
  const damage = dice.pick<Damage>(['change', 'change', 'cut', 'double', 'alert', 'drip', 'stall', 'noise']);
  return { wire: (socket, moment) => new DamagedWire(socket, { from, damage, moment }).open() };
}

type Damage = 'change' | 'cut' | 'double' | 'alert' | 'drip' | 'stall' | 'noise';

/** Between the client's socket and the gateway's TLS, which gets a socket of its own: bytes of the client pass, those for it are counted and harmed. */
class DamagedWire {
  readonly #client: Socket;
  readonly #from: number;
  readonly #damage: Damage;
  readonly #dice: Dice;
  readonly #time: Waiting;
  readonly #signal: AbortSignal;
  #sent = 0;

  constructor(client: Socket, { from, damage, moment }: { from: number; damage: Damage; moment: Moment }) {
    this.#client = client;
    this.#from = from;
    this.#damage = damage;
    this.#dice = moment.dice.fork(7);
    this.#time = moment.time;
    this.#signal = moment.signal;
  }

  /** The gateway's end. */
  async open(): Promise<Socket> {
    const client = this.#client;
    const [inner, end] = await socketPair();
    for (const socket of [inner, end]) socket.on('error', () => undefined); // the other side is told by its close
    client.pipe(inner);
    client.on('close', () => inner.destroy());
    inner.on('close', () => client.destroySoon());
    void this.#carry(inner);
    return end;
  }

  async #carry(inner: Socket): Promise<void> {
    try {
      for await (const bytes of inner as AsyncIterable<Buffer>) {
        const at = this.#from - this.#sent;
        this.#sent += bytes.length;
        if (at >= bytes.length) await written(this.#client, bytes);
        else await this.#harm(bytes, Math.max(0, at));
      }
    } catch {
      // A connection that was reset ends like one that was closed.
    }
    this.#client.end();
  }

  async #harm(bytes: Buffer, at: number): Promise<void> {
    const socket = this.#client;
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    await written(socket, before);
    switch (this.#damage) {
      case 'change':
        await written(socket, mutated(this.#dice, after));
        break;
      case 'cut':
        if (this.#dice.oneIn(2)) socket.resetAndDestroy();
        else socket.destroy();
        break;
      case 'double':
        await written(socket, after);
        await written(socket, after);
        break;
      case 'alert':
        await written(socket, alertRecord(this.#dice));
        await written(socket, after);
        break;
      case 'drip':
        for (let i = 0; i < after.length && i < MAX_DRIPS && !socket.destroyed; i++) {
          await this.#time.sleep(5000, this.#signal);
          await written(socket, after.subarray(i, i + 1));
        }
        break;
      case 'stall':
        await this.#time.sleep(STALL, this.#signal);
        break;
      case 'noise':
        await written(socket, this.#dice.bytes(this.#dice.between(1, 2000)));
        break;
      default:
        this.#damage satisfies never;
    }
  }
}

const MAX_DRIPS = 100;

/** Longer than any limit of the client. */
const STALL = 1_000_000;

/** Two ends of one connection on loopback. */
async function socketPair(): Promise<[Socket, Socket]> {
  const listener = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const accepted = once(listener, 'connection') as Promise<[Socket]>;
  const near = connect((listener.address() as AddressInfo).port, '127.0.0.1');
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  listener.close();
  return [near, far];
}

/** RFC 8446 §6: a warning or a fatal one, of any description. */
function alertRecord(dice: Dice): Uint8Array {
  return Uint8Array.of(0x15, 3, dice.pick([1, 3, 3, 9]), 0, 2, dice.pick([1, 2, 2, 7]), dice.below(256));
}

/** A handshake or data record that says it is longer than one may be, or as long as it may. */
function oversizedRecord(dice: Dice): Uint8Array {
  const length = dice.pick([0, 0x4000, 0x4001, 0x4800, 0xffff]);
  return Buffer.concat([
    Uint8Array.of(dice.pick([20, 22, 23, 24, 80]), 3, 3, length >> 8, length & 0xff),
    dice.bytes(Math.min(length, 4096)),
  ]);
}

async function finish(socket: Socket, ending: Ending, signal: AbortSignal): Promise<void> {
  if (ending === 'end') socket.end();
  else if (ending === 'drop') socket.destroy();
  else if (ending === 'reset') socket.resetAndDestroy();
  else await gone(socket, signal);
}
