/**
 * Where the clients are compared: two machines with a cable between them, one ocserv for all, and the same options for both clients.
 *
 *   client 192.0.2.2 ──veth── 192.0.2.1 server (ocserv)
 *          10.77.0.x ═tunnel═ 10.77.0.1
 *
 * Read first: test/support/README.md.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../src/core/tunnel/packet.ts';
import { assertBuilt, DROP_IN } from '../test/support/drop-in.ts';
import { Lab } from '../test/support/lab.ts';
import { ALICE, Ocserv } from '../test/support/ocserv.ts';
import type { OcservSettings } from '../test/support/ocserv-config.ts';
import { OpenConnect } from '../test/support/openconnect.ts';
import type { Program } from '../test/support/program.ts';
import type { Transport } from './figures.ts';
import type { ClientName } from './statistics.ts';

/** The gateway's address inside the tunnel. */
export const INSIDE = '10.77.0.1';

const ROUTE = '10.77.0.0/24';

/** Nothing but the tunnel: no compression, no IPv6, and no search for an MTU that is known. */
const SETTINGS: OcservSettings = {
  'ipv6-network': undefined,
  'try-mtu-discovery': false,
  mtu: 1434,
  compression: false,
  'use-occtl': false,
};

const COMMANDS: Readonly<Record<ClientName, readonly [string, ...string[]]>> = {
  sallyport: DROP_IN,
  openconnect: ['/usr/sbin/openconnect'],
};

const TRANSPORT_ARGS: Readonly<Record<Transport, readonly string[]>> = { dtls: [], tls: ['--no-dtls'] };

/** The line by which both clients say that packets leave by DTLS, with the cipher in their own spelling. */
const DTLS_LINE = /^Established DTLS connection .*Ciphersuite (.*)\.$/m;
const DTLS_CIPHER = /AES.256.GCM/;

/** After a client's end, for what the gateway still does for it. */
const SETTLE: Millis = 300;

/** A client whose tunnel is up. */
export interface Tunnel {
  readonly program: Program;
  /** From the start of the program until packets pass, and pass by the transport that was asked for. */
  readonly connectTime: Millis;
}

export class BenchLab implements AsyncDisposable {
  readonly lab: Lab;
  readonly #ocserv: Ocserv;
  /** Written by the client's network script when it has set up the device. */
  readonly #upStamp: string;
  /** Written by the shell that then becomes the client. */
  readonly #startStamp: string;
  readonly #script: string;

  private constructor(lab: Lab, ocserv: Ocserv) {
    this.lab = lab;
    this.#ocserv = ocserv;
    this.#startStamp = path.join(lab.folder, 'started');
    this.#upStamp = path.join(lab.folder, 'up');
    this.#script = path.join(lab.folder, 'network-script');
    writeFileSync(this.#script, networkScript(this.#upStamp), { mode: 0o755 });
  }

  /** Throws where our client is not built from these sources. */
  static async open(): Promise<BenchLab> {
    assertBuilt();
    const lab = await Lab.open({ router: false });
    try {
      return new BenchLab(lab, await Ocserv.start(lab, { settings: SETTINGS }));
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** Brings up a client's tunnel, does the work, and ends the client. */
  async withTunnel<T>(client: ClientName, transport: Transport, work: (tunnel: Tunnel) => Promise<T>): Promise<T> {
    rmSync(this.#upStamp, { force: true });
    const { gateway, pin } = this.#ocserv;
    const connection = await OpenConnect.start(this.lab.client, {
      gateway,
      pin,
      user: ALICE,
      script: this.#script,
      args: TRANSPORT_ARGS[transport],
      command: ['sh', '-c', `date +%s%N >"${this.#startStamp}" && exec "$@"`, 'sh', ...COMMANDS[client]],
    });
    try {
      await connection.up();
      const upAt = await this.#upAt(connection.program, transport);
      return await work({ program: connection.program, connectTime: upAt - readStamp(this.#startStamp) });
    } finally {
      await connection.program.stop({ signal: 'SIGINT' });
      await setTimeout(SETTLE);
    }
  }

  /** Ends everything that runs in the lab. Safe to call twice. */
  close(): Promise<void> {
    return this.lab.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** When both the network and the transport were there. Throws unless the transport is the one that is compared. */
  async #upAt(program: Program, transport: Transport): Promise<Millis> {
    const networkAt = readStamp(this.#upStamp);
    if (transport === 'tls') return networkAt;
    const hasDtls = DTLS_LINE.test(program.output);
    const [, cipher = ''] = await program.waitFor(DTLS_LINE);
    if (!DTLS_CIPHER.test(cipher)) throw new Error(`the clients are compared with AES-256-GCM, but ${program.name} has ${cipher}`);
    return hasDtls ? networkAt : Date.now();
  }
}

/** Sets the address and the route, and notes when that was done. Much less than a real one does: it would only add the same to both clients. */
function networkScript(stamp: string): string {
  return `#!/bin/sh
set -e
[ "$reason" = connect ] || exit 0
ip -batch - <<BATCH
link set dev $TUNDEV mtu $INTERNAL_IP4_MTU up
address add $INTERNAL_IP4_ADDRESS/32 dev $TUNDEV
route replace ${ROUTE} dev $TUNDEV
BATCH
date +%s%N >"${stamp}"
`;
}

/** Nanoseconds since 1970, as `date` writes them: the same clock for both ends of a time, whoever writes it. */
function readStamp(file: string): Millis {
  return Number(readFileSync(file, 'utf8')) / 1e6;
}
