/**
 * `sallyport proxy` against the real ocserv, as a user that may do nothing: what is behind the gateway, and the programs that go there.
 *
 * @example
 * await using scene = await ProxyE2e.open();
 * await scene.proxy(['--listen', '1080']);
 * assert.equal(await scene.curl('--socks5-hostname', '127.0.0.1:1080', 'http://web.corp.test:8080'), '…');
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { parseIp } from '../../src/core/wire/ip-address.ts';
import { toHex } from '../../src/core/wire/text.ts';
import { Capture } from '../support/capture.ts';
import { ALICE } from '../support/ocserv.ts';
import type { Finished, Program, ProgramOptions } from '../support/program.ts';
import { type CertificateFiles, makeAuthority, makeServerCertificate } from '../support/throwaway-certificates.ts';
import { INSIDE, type SceneOptions, TunnelScene } from './tunnel-scene.ts';

export const COMMAND: string = path.resolve(import.meta.dirname, '../../bin/sallyport.js');
const INSIDE_PROGRAM = path.join(import.meta.dirname, 'inside-program.ts');

const SITE_PROGRAM = path.join(import.meta.dirname, 'proxy-inside-program.ts');

/** Nobody, in no group, who may not even become more by a program with rights of its own. */
export const AS_NOBODY: readonly string[] = [
  '--reuid=nobody',
  '--regid=nogroup',
  '--clear-groups',
  '--inh-caps=-all',
  '--bounding-set=-all',
  '--no-new-privs',
];

export const PASSWORD: ProgramOptions = { input: `${ALICE.password}\n` };

export class ProxyE2e implements AsyncDisposable {
  readonly tunnel: TunnelScene;
  /** The authority of the web server inside. */
  readonly authority: string;
  /** A folder that nobody may write to. */
  readonly home: string;
  /** Certificate and key of `web.corp.test`. */
  readonly certificate: CertificateFiles;
  /** `inside-program.ts`, which runs behind the gateway. */
  readonly inside: Program;

  private constructor(tunnel: TunnelScene, inside: Program, authority: string, home: string, certificate: CertificateFiles) {
    this.tunnel = tunnel;
    this.inside = inside;
    this.authority = authority;
    this.home = home;
    this.certificate = certificate;
  }

  static async open(options: SceneOptions = {}): Promise<ProxyE2e> {
    const tunnel = await TunnelScene.open({
      ...options,
      settings: { dns: [INSIDE.ipv4], 'default-domain': 'corp.test', ...options.settings },
    });
    const { lab } = tunnel;
    const authority = await makeAuthority(lab.folder, 'inside-ca');
    const files = await makeServerCertificate(lab.folder, authority, ['web.corp.test'], 'inside');
    const inside = await lab.server.start(process.execPath, [INSIDE_PROGRAM, files.certificate, files.key, INSIDE.ipv4]);
    await inside.waitFor(/^inside$/m);
    chmodSync(lab.folder, 0o755);
    const home = mkdtempSync(path.join(lab.folder, 'home-'));
    chmodSync(home, 0o777);
    return new ProxyE2e(tunnel, inside, authority.certificate, home, files);
  }

  /** Runs a program on the client's machine as nobody, to its end. */
  finish(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
    return this.tunnel.client.finish('setpriv', [...AS_NOBODY, command, ...args], this.#athome(options));
  }

  /** The same; standard output. Throws unless it ends with 0. */
  async run(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<string> {
    const { code, stdout, output } = await this.finish(command, args, options);
    assert.equal(code, 0, output);
    return stdout;
  }

  /** Starts one. */
  start(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<Program> {
    return this.tunnel.client.start('setpriv', [...AS_NOBODY, command, ...args], this.#athome(options));
  }

  /** Serves the files of a folder inside: http at 9080, https at 9443. */
  async site(folder: string): Promise<void> {
    const { certificate, key } = this.certificate;
    const site = await this.tunnel.lab.server.start(process.execPath, [SITE_PROGRAM, certificate, key, folder]);
    await site.waitFor(/^site$/m);
  }

  /** Silent but for errors, and with a limit. */
  curl(...args: readonly string[]): Promise<string> {
    return this.run('curl', ['--silent', '--show-error', '--max-time', '20', '--noproxy', '', ...args]);
  }

  /** The words of a command that connects Alice. */
  words(command: 'proxy' | 'exec', ...args: readonly string[]): string[] {
    const { gateway, ocserv } = this.tunnel;
    return [process.execPath, COMMAND, command, gateway, '--pin', ocserv.pin, '--user', ALICE.name, '--password-stdin', ...args];
  }

  /** Runs a program by `sallyport exec` as nobody. */
  async exec(options: readonly string[], program: readonly string[]): Promise<Finished> {
    return await (await this.startExec(options, program)).finish();
  }

  /** Starts it. */
  startExec(options: readonly string[], program: readonly string[]): Promise<Program> {
    const [node = '', ...words] = this.words('exec', ...options, '--', ...program);
    return this.start(node, words, PASSWORD);
  }

  /** Starts the proxy as nobody and waits until it says that it is ready. */
  async proxy(args: readonly string[] = []): Promise<Program> {
    const [node = '', ...words] = this.words('proxy', ...args);
    const program = await this.start(node, words, PASSWORD);
    await program.waitFor(/^Ready: |"event":"ready"/m);
    return program;
  }

  /** Watches the client's cable from now on. `strangers` ends that: packets that were not the tunnel's, in hex. */
  async watch(): Promise<{ readonly strangers: () => Promise<string[]> }> {
    const { client, lab, gateway } = this.tunnel;
    const peer = parseIp(gateway)?.bytes ?? assert.fail(gateway);
    const capture = await Capture.start(client, lab.folder, 'eth0');
    return {
      strangers: async () => (await capture.stop()).flatMap(({ bytes }) => (isTunnels(bytes, peer) ? [] : [toHex(bytes)])),
    };
  }

  /** Ends it by a signal. Throws unless it ends well, the session is logged off, and nothing of it is left. */
  async end(program: Program, signal: 'SIGINT' | 'SIGTERM' = 'SIGTERM'): Promise<void> {
    program.signal(signal);
    const { code, output } = await program.finish();
    assert.equal(code, 0, output);
    await this.tunnel.ocserv.control.assertNoSessions();
    await this.tunnel.assertNoTrace();
  }

  close(): Promise<void> {
    return this.tunnel.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #athome(options: ProgramOptions): ProgramOptions {
    // Folders that nobody may look into would make "permission denied" of "not found".
    const PATH = `${path.dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
    return { ...options, env: { HOME: this.home, XDG_RUNTIME_DIR: this.home, PATH, ...options.env } };
  }
}

const TCP = 6;
const UDP = 17;
const ICMP = 1;
const HOP_BY_HOP = 0;
const ICMPV6 = 58;

/** Whether a packet is of the connection to the gateway's port 443, an ICMP message between its ends, or the kernel's own for its neighbours (IPv6). */
function isTunnels(packet: Uint8Array, peer: Uint8Array): boolean {
  const view = Buffer.from(packet);
  if (view.readUInt8(0) >> 4 === 6) return [ICMPV6, HOP_BY_HOP].includes(view.readUInt8(6));
  const isOfPeer = [12, 16].some((at) => view.subarray(at, at + 4).equals(peer));
  const protocol = view.readUInt8(9);
  if (protocol === ICMP) return isOfPeer;
  const ports = (view.readUInt8(0) & 15) * 4;
  return isOfPeer && [TCP, UDP].includes(protocol) && [0, 2].some((at) => view.readUInt16BE(ports + at) === 443);
}
