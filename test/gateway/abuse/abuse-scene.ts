/** A gateway with a client that behaves, an attacker on the same machine as the client, and what the gateway's processes come to. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { assertBuilt } from '../../support/drop-in.ts';
import { OUR_GATEWAY } from '../../support/gateway-program.ts';
import { Lab } from '../../support/lab.ts';
import { ALICE, Ocserv } from '../../support/ocserv.ts';
import type { OcservSettings } from '../../support/ocserv-config.ts';
import { OpenConnect } from '../../support/openconnect.ts';
import { descriptorsOf, type GatewayPids, gatewayPids, peakMemoryOf } from '../../support/process-view.ts';
import type { Finished } from '../../support/program.ts';
import { RemoteProgram } from '../../support/remote-calls.ts';
import { ping } from '../../support/traffic.ts';
import type { AbuseCalls } from './abuse-program.ts';

const INSIDE = '10.77.0.1';
const OCCTL = path.resolve(import.meta.dirname, '../../../bin/sallyport-occtl.js');

export class AbuseScene implements AsyncDisposable {
  readonly lab: Lab;
  readonly gateway: Ocserv;
  readonly client: OpenConnect;
  readonly attacker: RemoteProgram<AbuseCalls>;
  readonly pids: GatewayPids;

  /** Descriptors of the gateway's processes while nobody was connected. */
  readonly idleDescriptors: number;

  private constructor(lab: Lab, gateway: Ocserv, client: OpenConnect, attacker: RemoteProgram<AbuseCalls>, idleDescriptors: number) {
    this.lab = lab;
    this.gateway = gateway;
    this.client = client;
    this.attacker = attacker;
    this.pids = gatewayPids(lab.server);
    this.idleDescriptors = idleDescriptors;
  }

  /** @param prepare Called when the gateway runs, before the first client. */
  static async open(settings: OcservSettings, prepare?: (lab: Lab) => Promise<void>): Promise<AbuseScene> {
    assertBuilt();
    const lab = await Lab.open();
    try {
      const own = { 'run-as-user': 'nobody', 'run-as-group': 'daemon', 'max-same-clients': 0, ...settings };
      const gateway = await Ocserv.start(lab, { program: OUR_GATEWAY, settings: own });
      await prepare?.(lab);
      // What the first client brings with it (threads, libraries) is no leak.
      const first = await connect(lab, gateway);
      await first.disconnect();
      const idle = descriptorsIn(gatewayPids(lab.server));
      const client = await connect(lab, gateway);
      const attacker = await RemoteProgram.start<AbuseCalls>(lab.client, path.join(import.meta.dirname, 'abuse-program.ts'), [
        gateway.gateway,
      ]);
      await attacker.program.waitFor(/ready/);
      return new AbuseScene(lab, gateway, client, attacker, idle);
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** Throws unless pings pass the tunnel, and the gateway has the processes that it had: none has died. */
  async assertServes(): Promise<void> {
    const { received } = await ping(this.lab.client, INSIDE, { deadline: 10_000 });
    assert.ok(received >= 3, `${received} pings were answered\n${this.gateway.log.slice(-2_000)}`);
    assert.deepEqual(gatewayPids(this.lab.server), this.pids, this.gateway.log.slice(-2_000));
  }

  /** A log-in of somebody else meanwhile; without a tunnel. */
  logIn(): Promise<Finished> {
    const args = ['--authenticate', '--non-inter', '--user', ALICE.name, '--passwd-on-stdin', '--servercert', this.gateway.pin];
    return this.lab.client.finish('openconnect', [...args, this.gateway.gateway], { input: `${ALICE.password}\n` });
  }

  /** Descriptors of all processes together. */
  descriptors(): number {
    return descriptorsIn(this.pids);
  }

  /** Of the process that had most, in MiB. */
  peakMemory(): number {
    return Math.max(...everyPid(this.pids).map(peakMemoryOf)) / 1024;
  }

  occtl(...words: readonly string[]): Promise<Finished> {
    const socket = path.join(this.gateway.folder, 'occtl.sock');
    return this.lab.server.finish(process.execPath, [OCCTL, '-s', socket, ...words]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.lab.close();
  }
}

async function connect(lab: Lab, { gateway, pin }: Ocserv): Promise<OpenConnect> {
  const client = await OpenConnect.start(lab.client, { gateway, pin, user: ALICE, args: ['--dump-http-traffic'] });
  await client.up();
  await client.program.waitFor(/Established DTLS connection/);
  return client;
}

function everyPid({ main, auth, workers }: GatewayPids): number[] {
  return [main, auth, ...workers];
}

function descriptorsIn(pids: GatewayPids): number {
  return everyPid(pids).reduce((sum, pid) => sum + descriptorsOf(pid).length, 0);
}
