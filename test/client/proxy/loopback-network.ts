/** A network for tests of the proxy in which every address is this machine: names lead to addresses of 10.0.0.0/8, and those to 127.0.0.1. */
import { createSocket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import { createConnection } from 'node:net';
import type { OutwardDatagram, OutwardNetwork } from '../../../src/client/proxy/outward-network.ts';
import { NetworkError } from '../../../src/core/errors.ts';

export const LOOPBACK_NAMES: Readonly<Record<string, readonly string[]>> = {
  'inside.test': ['10.0.0.1'],
  'second.test': ['10.255.255.255', '10.0.0.2'],
  'six.test': ['fd00::1'],
  'localhost.test': ['127.0.0.1'],
};

/** Nobody answers here. */
const DEAD = '10.255.255.255';

export class LoopbackNetwork implements OutwardNetwork {
  /** What was asked of it. */
  readonly asked: string[] = [];
  /** Where all ports lead, if it is set: those of the system's services cannot be listened at. */
  port: number | undefined;

  createConnection({ host, ...options }: Parameters<OutwardNetwork['createConnection']>[0]): ReturnType<typeof createConnection> {
    this.asked.push(`connect ${host}`);
    return createConnection({ ...options, host: '127.0.0.1', port: host === DEAD ? 1 : (this.port ?? options.port) });
  }

  createDatagram(): OutwardDatagram {
    return new LoopbackDatagram(this.port);
  }

  async lookup(name: string): Promise<{ address: string; family: number }[]> {
    this.asked.push(`lookup ${name}`);
    const addresses = LOOPBACK_NAMES[name];
    if (addresses === undefined) throw new NetworkError(`${name} is not there.`, { code: 'ENOTFOUND' });
    return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  }
}

/** Answers seem to come from where was sent to last. */
class LoopbackDatagram extends EventEmitter implements OutwardDatagram {
  readonly #socket = createSocket('udp4');
  readonly #port: number | undefined;
  #to = { address: '', port: 0 };

  constructor(port: number | undefined) {
    super();
    this.#port = port;
    this.#socket.on('message', (bytes) => this.emit('message', bytes, this.#to));
  }

  send(bytes: Uint8Array, port: number, address: string): void {
    this.#to = { address, port };
    this.#socket.send(bytes, this.#port ?? port, '127.0.0.1');
  }

  close(): void {
    this.#socket.close();
  }
}
