/**
 * A gateway with a thousand users and somebody who answers behind it, and the processes that play its clients.
 *
 *   client 192.0.2.2 ── load programs ═ tunnels ═► gateway ── 10.78.0.1 echo
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { OUR_GATEWAY } from '../../test/support/gateway-program.ts';
import { Lab } from '../../test/support/lab.ts';
import { Ocserv, writePasswords } from '../../test/support/ocserv.ts';
import type { OcservSettings } from '../../test/support/ocserv-config.ts';
import { proportionalMemoryOf } from '../../test/support/process-view.ts';
import { RemoteProgram } from '../../test/support/remote-calls.ts';
import { treeCpuSeconds } from '../process-usage.ts';
import type { LoadCalls, LoadTarget } from './load-program.ts';

export const GATEWAYS = ['sallyport', 'ocserv'] as const;

export type GatewayName = (typeof GATEWAYS)[number];

const RESPONDER = { address: '10.78.0.1', port: 7 };
const PASSWORD = 'correct horse';

/** Bytes of each packet in the tunnel. */
const PACKET_LENGTH = 200;

/** No limits on clients, room for 65,000, and nothing but the tunnel. */
const SETTINGS: OcservSettings = {
  'ipv4-network': '10.64.0.0/16',
  'ipv6-network': undefined,
  'predictable-ips': false, // ocserv looks for a free one among 16 candidates only
  'run-as-user': 'nobody',
  'run-as-group': 'daemon',
  'max-clients': 0,
  'max-same-clients': 0,
  'use-occtl': false,
  'try-mtu-discovery': false,
  compression: false,
  mtu: 1434,
  route: ['10.78.0.0/16'],
};

export class LoadScene implements AsyncDisposable {
  readonly programs: readonly RemoteProgram<LoadCalls>[];
  readonly #lab: Lab;
  readonly #gatewayPid: number;
  readonly #echoPid: number;

  private constructor(lab: Lab, programs: readonly RemoteProgram<LoadCalls>[], gatewayPid: number, echoPid: number) {
    this.#lab = lab;
    this.#gatewayPid = gatewayPid;
    this.programs = programs;
    this.#echoPid = echoPid;
  }

  /** @param processes Of the load. */
  static async open(name: GatewayName, users: number, processes: number): Promise<LoadScene> {
    const lab = await Lab.open({ router: false });
    try {
      const auth = [`plain[passwd=${await passwordFile(lab.folder, users)}]`];
      const settings = { ...SETTINGS, auth };
      const gateway = await Ocserv.start(lab, name === 'ocserv' ? { settings } : { settings, program: OUR_GATEWAY });
      for (const folder of [lab.folder, gateway.folder]) chmodSync(folder, 0o755); // ocserv's workers go through them as nobody
      await lab.server.ip(`address add ${RESPONDER.address}/32 dev lo`);
      const here = import.meta.dirname;
      const echo = await lab.server.start(process.execPath, [
        path.join(here, 'echo-program.ts'),
        RESPONDER.address,
        String(RESPONDER.port),
      ]);
      await echo.waitFor(/echoing/);
      const start = () => RemoteProgram.start<LoadCalls>(lab.client, path.join(here, 'load-program.ts'));
      const programs = await Promise.all(Array.from({ length: processes }, start));
      const target: LoadTarget = {
        ...{ gateway: gateway.gateway, pin: gateway.pin, password: PASSWORD },
        ...{ responder: RESPONDER, packetLength: PACKET_LENGTH },
      };
      for (const each of programs) {
        await each.program.waitFor(/ready/);
        await each.call('aim', target);
      }
      return new LoadScene(lab, programs, gateway.program.pid, echo.pid);
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** KiB of all processes of the gateway, shared pages divided among those who have them. */
  gatewayMemory(): number {
    const pids = this.#lab.server.processes().map(({ pid }) => pid);
    return pids.filter((pid) => pid !== this.#echoPid).reduce((sum, pid) => sum + memoryOrNone(pid), 0);
  }

  /** Seconds that all processes of the gateway have used so far. */
  gatewayCpu(): number {
    return treeCpuSeconds(this.#gatewayPid);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#lab.close();
  }
}

function memoryOrNone(pid: number): number {
  try {
    return proportionalMemoryOf(pid);
  } catch {
    return 0; // it has just ended
  }
}

/** Users `load0`, `load1` …, who all have one password: it is hashed once. */
async function passwordFile(folder: string, users: number): Promise<string> {
  const file = await writePasswords(folder, [{ name: 'load0', password: PASSWORD }], 'load-users');
  const hash = readFileSync(file, 'utf8').trim().split(':')[2];
  writeFileSync(file, Array.from({ length: users }, (_, i) => `load${i}:*:${hash}\n`).join(''));
  return file;
}
