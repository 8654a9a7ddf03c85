/**
 * A tunnel of our drop-in to the real ocserv, or of other programs in their places, with all that an end-to-end test looks at: the machine before, the client, the gateway's view, traffic.
 *
 * @example
 * await using scene = await TunnelScene.open({ settings: { compression: true } });
 * const client = await scene.connect({ args: ['--no-dtls'] });
 * await scene.transfer('10.77.0.1', { up: 8e6, down: 8e6 });
 * await scene.disconnect(client); // code 0, and no trace of it is left
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { assertBuilt, DROP_IN } from '../support/drop-in.ts';
import { Faults } from '../support/faults.ts';
import { Lab } from '../support/lab.ts';
import type { Namespace } from '../support/namespaces.ts';
import { ALICE, Ocserv, type OcservOptions } from '../support/ocserv.ts';

import { type Command, OpenConnect, type OpenConnectOptions, VPNC_SCRIPT } from '../support/openconnect.ts';
import { processIdentity } from '../support/process-identity.ts';
import { Relay, type RelayStartOptions } from '../support/relay.ts';
import { missing } from '../support/requirements.ts';
import { assertUnchanged, type NetworkSnapshot, takeSnapshot } from '../support/snapshot.ts';
import { assertAnswers, type PingOptions, TrafficPeer, type TrafficTarget, type TransferOptions } from '../support/traffic.ts';

/** Why these tests cannot run here, or false. */
export const skip: string | false = missing('root', 'netns', 'tun', 'ocserv', 'openconnect', 'nft', 'ping', 'tcpdump', 'openssl');

/** Inside addresses of the gateway, and the networks behind it. */
export const INSIDE = { ipv4: '10.77.0.1', ipv6: 'fd77::1' } as const;
export const ROUTES: readonly string[] = ['10.77.0.0/16', 'fd77::/64'];

const CARRY_DEADLINE: Millis = 60_000;
const END_DEADLINE: Millis = 60_000;
const POLL: Millis = 5;

export interface SceneOptions extends OcservOptions {
  /** A relay on the router that the client takes for the gateway. */
  readonly relay?: RelayStartOptions;
  /** Which of the gateway's addresses clients go to. Default 4. */
  readonly family?: 4 | 6;
  /** The program that clients run. Default: our drop-in. */
  readonly command?: Command;
}

export interface StartOptions extends Partial<OpenConnectOptions> {
  readonly namespace?: Namespace;
}

export class TunnelScene implements AsyncDisposable {
  readonly lab: Lab;
  readonly ocserv: Ocserv;
  /** Filters on the router. */
  readonly faults: Faults;
  /** The client's machine before anything was started. */
  readonly before: NetworkSnapshot;
  /** What clients run. */
  readonly command: Command;
  readonly #relay: Relay | undefined;
  readonly #gateway: string;
  #peers: { readonly near: TrafficPeer; readonly far: TrafficPeer } | undefined;
  readonly #targets = new Map<string, TrafficTarget>();

  private constructor(
    lab: Lab,
    ocserv: Ocserv,
    before: NetworkSnapshot,
    { command, relay, gateway }: { readonly command: Command; readonly relay: Relay | undefined; readonly gateway: string },
  ) {
    this.lab = lab;
    this.ocserv = ocserv;
    this.faults = new Faults(lab.router);
    this.before = before;
    this.command = command;
    this.#relay = relay;
    this.#gateway = gateway;
  }

  /** A lab with a running gateway, which announces {@link ROUTES} unless told otherwise. */
  static async open({ relay: relayOptions, family = 4, command = DROP_IN, settings, ...options }: SceneOptions = {}): Promise<TunnelScene> {
    assertBuilt(command);
    const lab = await Lab.open();
    try {
      const ocserv = await Ocserv.start(lab, { ...options, settings: { route: ROUTES, ...settings } });
      const relay = relayOptions && (await Relay.start(lab, relayOptions));
      const { ipv6 } = lab.addresses.server;
      const gateway = relay?.gateway ?? (family === 6 ? `[${ipv6}]` : ocserv.gateway);
      return new TunnelScene(lab, ocserv, await takeSnapshot(lab.client), { command, relay, gateway });
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get relay(): Relay {
    assert.ok(this.#relay, 'the scene was opened without a relay');
    return this.#relay;
  }

  /** Where clients connect. */
  get gateway(): string {
    return this.#gateway;
  }

  get client(): Namespace {
    return this.lab.client;
  }

  /** Starts a client, or another `command`, as Alice; on another machine than the client's, if `namespace` says so. */
  start({ namespace = this.client, ...options }: StartOptions = {}): Promise<OpenConnect> {
    const { gateway, ocserv, command } = this;
    const user = options.args?.includes('--cookie-on-stdin') === true ? {} : { user: ALICE };
    return OpenConnect.start(namespace, { gateway, pin: ocserv.pin, ...user, command, ...options });
  }

  /** Starts it and waits until the script has set up the network. */
  async connect(options: StartOptions = {}): Promise<OpenConnect> {
    const client = await this.start(options);
    await client.up();
    return client;
  }

  /** Throws unless pings to an inside address are answered. */
  assertAnswers(host: string = INSIDE.ipv4, options: PingOptions = {}): Promise<void> {
    return assertAnswers(this.client, host, options);
  }

  /** Sends and receives at once over TCP to an inside address; throws unless both hashes agree. */
  async transfer(host: string, amounts: TransferOptions): Promise<number> {
    const { near } = await this.peers();
    return (await near.transfer(await this.target(host), amounts)).seconds;
  }

  /** Waits until so many more bytes have passed a device of the client, both ways together. */
  async carried(device: string, bytes: number): Promise<void> {
    const start = this.deviceBytes(device);
    for (const deadline = performance.now() + CARRY_DEADLINE; this.deviceBytes(device) - start < bytes; await setTimeout(POLL)) {
      assert.ok(performance.now() < deadline, `${device} did not carry ${bytes} bytes within ${CARRY_DEADLINE} ms`);
    }
  }

  /** Waits until a process of the client's machine has ended that the test did not start itself. */
  async ended(pid: number): Promise<void> {
    for (const deadline = performance.now() + END_DEADLINE; processIdentity(pid) !== undefined; await setTimeout(POLL)) {
      assert.ok(performance.now() < deadline, `process ${pid} did not end within ${END_DEADLINE} ms`);
    }
  }

  /** Bytes that have passed a device of the client's machine so far, both ways together. */
  deviceBytes(device: string): number {
    const folder = this.client.file(`/sys/class/net/${device}/statistics`);
    return ['tx_bytes', 'rx_bytes'].reduce((sum, counter) => sum + Number(readFileSync(path.join(folder, counter), 'latin1')), 0);
  }

  /** The far end's address for traffic. */
  async target(host: string): Promise<TrafficTarget> {
    const { far } = await this.peers();
    const target = this.#targets.get(host) ?? (await far.listen(host));
    this.#targets.set(host, target);
    return target;
  }

  /** Programs for traffic: on the client's machine and on the server's. */
  async peers(): Promise<{ readonly near: TrafficPeer; readonly far: TrafficPeer }> {
    if (this.#peers !== undefined) return this.#peers;
    const [near, far] = await Promise.all([TrafficPeer.start(this.lab.client), TrafficPeer.start(this.lab.server)]);
    this.#peers = { near, far };
    return this.#peers;
  }

  /** Logs the session off. Throws unless it ends well and leaves nothing. */
  async disconnect(client: OpenConnect): Promise<void> {
    const { code } = await client.disconnect();
    assert.equal(code, 0, client.program.describe());
    await this.assertNoTrace();
  }

  /** Throws unless routes, addresses, devices, resolver files and processes are as before, and no journal or backup is left. */
  async assertNoTrace(): Promise<void> {
    await Promise.all([this.#peers?.near.stop(), this.#peers?.far.stop()]);
    this.#peers = undefined;
    this.#targets.clear();
    assertUnchanged(this.before, await takeSnapshot(this.client));
    assert.deepEqual(this.leftFiles(), []);
  }

  /** What sessions leave in /run: our journals, and the script's copies of what it replaced. */
  leftFiles(): string[] {
    return ['/run/sallyport', '/run/vpnc'].flatMap((folder) => {
      const seen = this.client.file(folder);
      return existsSync(seen) ? readdirSync(seen).map((name) => `${folder}/${name}`) : [];
    });
  }

  /** What there is when no script is ending any more: it says its last word a moment before that. */
  async snapshotWithoutScripts(): Promise<NetworkSnapshot> {
    const hasScript = () => this.client.processes().some(({ command }) => command.includes(VPNC_SCRIPT));
    for (const deadline = performance.now() + END_DEADLINE; hasScript(); await setTimeout(POLL)) {
      assert.ok(performance.now() < deadline, `a script did not end within ${END_DEADLINE} ms`);
    }
    return takeSnapshot(this.client);
  }

  /**
   * Throws unless the gateway has no user's tunnel and no session. A handshake by UDP that its client has left without a word is listed, as nobody's, for
   * up to ten seconds: openconnect's after a reconnect now and then.
   */
  async assertLoggedOut(): Promise<void> {
    await this.ocserv.control.assertNoUser(ALICE.name);
    await this.ocserv.control.assertNoSessions();
  }

  /** Ends everything that runs in the lab. */
  close(): Promise<void> {
    return this.lab.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Waits until packets leave by DTLS, and says by which cipher. That may come after `Configured as`: on a busy machine the tunnel does not wait for it.
 * @param after Where in the client's output to begin.
 */
export async function cipherOfDatagrams(client: OpenConnect, after = 0): Promise<string> {
  const [, cipher = ''] = await client.program.waitFor(/Established DTLS connection .*Ciphersuite (.*)\.$/m, { after });
  return cipher;
}

/** Logs Alice in and returns the session's cookie. */
export async function logIn({ client, gateway, ocserv, command: [program, ...leading] }: TunnelScene): Promise<string> {
  const args = ['--authenticate', '--non-inter', '--user', ALICE.name, '--passwd-on-stdin', '--servercert', ocserv.pin, gateway];
  const { stdout } = await client.finish(program, [...leading, ...args], { input: `${ALICE.password}\n` });
  const [, cookie] = /^COOKIE='(.*)'$/m.exec(stdout) ?? [];
  assert.ok(cookie, stdout);
  return cookie;
}
