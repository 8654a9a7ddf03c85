/**
 * Where programs are compared: two machines with a cable between them; clients with the same options, gateways with the same configuration file.
 *
 *   client 192.0.2.2 ──veth── 192.0.2.1 server (one gateway at a time)
 *          10.77.0.x ═tunnel═ 10.77.0.1
 *
 * Read first: test/support/README.md.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../src/core/tunnel/packet.ts';
import { assertBuilt, DROP_IN, DROP_IN_FILE } from '../test/support/drop-in.ts';
import { OUR_GATEWAY } from '../test/support/gateway-program.ts';
import { Lab } from '../test/support/lab.ts';
import { ALICE, Ocserv } from '../test/support/ocserv.ts';
import type { OcservSettings } from '../test/support/ocserv-config.ts';
import { type Command, OpenConnect } from '../test/support/openconnect.ts';
import type { Program } from '../test/support/program.ts';
import type { Transport } from './figures.ts';
import type { Side } from './statistics.ts';

/** The gateway's address inside the tunnel. */
export const INSIDE = '10.77.0.1';

const ROOT = path.resolve(import.meta.dirname, '..');

const ROUTE = '10.77.0.0/24';

/** Nothing but the tunnel: no compression, no IPv6, and no search for an MTU that is known. */
const SETTINGS: OcservSettings = {
  'ipv6-network': undefined,
  'try-mtu-discovery': false,
  mtu: 1434,
  compression: false,
  'use-occtl': false,
};

export type Client = Side | 'portable';

const CLIENTS: Readonly<Record<Client, Command>> = {
  sallyport: [DROP_IN_FILE],
  reference: ['/usr/sbin/openconnect'],
  portable: [process.execPath, path.join(import.meta.dirname, 'portable-client.ts')],
};

/** Nobody is at this port behind the gateway. It is the last to open here: whoever reaches it knows that all are. */
const PROBED = 5299;

const TRANSPORT_ARGS: Readonly<Record<Transport, readonly string[]>> = { dtls: [], esp: [], tls: ['--no-dtls'] };

/** The command of a client without an interface, with the options that both take for forwarded ports. */
type ProxyCommand = (gateway: string, pin: string, forwards: readonly string[], transport: Transport) => Command;

const ownProxy =
  (...nodeOptions: readonly string[]): ProxyCommand =>
  (gateway, pin, forwards, transport) => [
    process.execPath,
    ...[...nodeOptions, path.join(ROOT, 'bin/sallyport.js')],
    ...['proxy', gateway, '--pin', pin, '--user', ALICE.name, '--password-stdin', '--listen', '0', ...forwards],
    ...(transport === 'tls' ? ['--no-udp'] : []),
  ];

const PROXIES: Readonly<Record<Client, ProxyCommand>> = {
  sallyport: ownProxy(),
  portable: ownProxy('--import', path.join(ROOT, 'test/node/ffi/hide-koffi.ts')),
  reference: (gateway, pin, forwards, transport) => [
    '/usr/sbin/openconnect',
    ...['-v', '--non-inter', '--servercert', pin, '--user', ALICE.name, '--passwd-on-stdin'],
    ...['--script-tun', '--script', `ocproxy ${forwards.join(' ')}`, ...TRANSPORT_ARGS[transport], gateway],
  ],
};

/** The line by which both clients say that packets leave by DTLS, with the cipher in their own spelling. */
const DTLS_LINE = /^Established DTLS connection .*Ciphersuite (.*)\.$/m;
/** What clients are compared with: the best of DTLS 1.2, or of 1.0 where a protocol has nothing newer. */
const DTLS_CIPHER = /AES.256.GCM|1\.0.*AES.256.CBC.*SHA/;

/** The same of ESP, which each client says in words of its own. */
const ESP_LINE = /^(?:ESP session established with server|Established DTLS connection .*Ciphersuite ESP-.*)$/m;

/** After a client's end, for what the gateway still does for it. */
const SETTLE: Millis = 300;

/** A client whose tunnel is up. */
export interface Tunnel {
  readonly program: Program;
  /** The gateway's main process. */
  readonly gateway: Program;
  /** From the start of the program until packets pass, and pass by the transport that was asked for. */
  readonly connectTime: Millis;
}

export class BenchLab implements AsyncDisposable {
  readonly lab: Lab;
  #gateway: Ocserv | undefined;
  /** Written by the client's network script when it has set up the device. */
  readonly #upStamp: string;
  /** Written by the shell that then becomes the client. */
  readonly #startStamp: string;
  readonly #script: string;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.#startStamp = path.join(lab.folder, 'started');
    this.#upStamp = path.join(lab.folder, 'up');
    this.#script = path.join(lab.folder, 'network-script');
    writeFileSync(this.#script, networkScript(this.#upStamp), { mode: 0o755 });
  }

  /** Throws where our programs are not built from these sources. */
  static async open(): Promise<BenchLab> {
    for (const command of [DROP_IN, OUR_GATEWAY.command]) assertBuilt(command);
    return new BenchLab(await Lab.open({ router: false }));
  }

  /** Starts a gateway, in the place of the one that runs. @param settings besides those that all have */
  async useGateway(side: Side, settings: OcservSettings = {}): Promise<void> {
    await this.#gateway?.stop();
    this.#gateway = undefined;
    this.#gateway = await Ocserv.start(this.lab, {
      settings: { ...SETTINGS, ...settings },
      ...(side === 'sallyport' && { program: OUR_GATEWAY }),
    });
  }

  /** Brings up a client's tunnel to the gateway that runs, does the work, and ends the client. @param args for the client, besides the usual ones */
  async withTunnel<T>(
    client: Client,
    transport: Transport,
    work: (tunnel: Tunnel) => Promise<T>,
    args: readonly string[] = [],
  ): Promise<T> {
    if (this.#gateway === undefined) throw new Error('no gateway runs in this lab');
    rmSync(this.#upStamp, { force: true });
    const { gateway, pin, program } = this.#gateway;
    const connection = await OpenConnect.start(this.lab.client, {
      gateway,
      pin,
      user: ALICE,
      script: this.#script,
      args: [...TRANSPORT_ARGS[transport], ...args],
      // The Node that runs this runs the client. Authorities that Node alone would read at its start are a setting of the machine that measures.
      command: [
        'sh',
        '-c',
        `PATH="${path.dirname(process.execPath)}:$PATH"; unset NODE_EXTRA_CA_CERTS; date +%s%N >"${this.#startStamp}" && exec "$@"`,
        'sh',
        ...CLIENTS[client],
      ],
    });
    try {
      await connection.up();
      const upAt = await this.#upAt(connection.program, transport);
      return await work({ program: connection.program, gateway: program, connectTime: upAt - readStamp(this.#startStamp) });
    } finally {
      await connection.program.stop({ signal: 'SIGINT' });
      await setTimeout(SETTLE);
    }
  }

  /**
   * Brings up a client that has no interface, with ports of its machine that lead to the same ports behind the gateway that runs, does the work, and ends
   * the client. Openconnect's packets are ocproxy's.
   */
  async withProxy<T>(client: Client, transport: Transport, ports: readonly number[], work: (program: Program) => Promise<T>): Promise<T> {
    if (this.#gateway === undefined) throw new Error('no gateway runs in this lab');
    const { gateway, pin } = this.#gateway;
    const forwards = [...ports, PROBED].flatMap((port) => ['-L', `${port}:${INSIDE}:${port}`]);
    const [command, ...args] = PROXIES[client](gateway, pin, forwards, transport);
    const program = await this.lab.client.start(command, args, { input: `${ALICE.password}\n` });
    try {
      if (transport === 'dtls') {
        const [, cipher = ''] = await program.waitFor(client === 'reference' ? DTLS_LINE : /by DTLS 1\.2, (\S+)/);
        if (!DTLS_CIPHER.test(cipher)) throw new Error(`the clients are compared with AES-256, but ${program.name} has ${cipher}`);
      }
      if (client === 'reference')
        await this.lab.client.run('bash', ['-c', `until (exec 3<>/dev/tcp/127.0.0.1/${PROBED}) 2>&-; do sleep 0.01; done`]);
      else await program.waitFor(/^Ready: /m);
      return await work(program);
    } finally {
      await program.stop({ signal: 'SIGINT' });
      // ocproxy ends after openconnect, and would answer for the next one.
      await this.lab.client.run('bash', ['-c', `while (exec 3<>/dev/tcp/127.0.0.1/${PROBED}) 2>&-; do sleep 0.01; done`]);
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
    const line = transport === 'esp' ? ESP_LINE : DTLS_LINE;
    const hasDatagrams = line.test(program.output);
    const [, cipher = ''] = await program.waitFor(line);
    if (transport === 'dtls' && !DTLS_CIPHER.test(cipher))
      throw new Error(`the clients are compared with AES-256, but ${program.name} has ${cipher}`);
    return hasDatagrams ? networkAt : Date.now();
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
