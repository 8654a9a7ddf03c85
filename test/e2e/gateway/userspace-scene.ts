/**
 * A gateway without an interface and without root, in a lab: it runs as nobody, and another machine is the network outside.
 *
 *   client ── router: the network outside (outside-program.ts, inside-program.ts as its name server) ── server: the gateway, as nobody
 */
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { assertBuilt } from '../../support/drop-in.ts';
import { OUR_GATEWAY } from '../../support/gateway-program.ts';
import { Lab } from '../../support/lab.ts';
import { Occtl } from '../../support/occtl.ts';
import { ALICE, writePasswords } from '../../support/ocserv.ts';
import type { Finished, Program, ProgramOptions } from '../../support/program.ts';
import { type CertificateFiles, makeAuthority, makeServerCertificate, pinOf } from '../../support/throwaway-certificates.ts';
import { AS_NOBODY, COMMAND } from '../proxy-scene.ts';

export const PORT = 4443;

/** Of the router, on the gateway's side: a server that listens on all addresses answers from the nearest. */
export const OUTSIDE = { ipv4: '198.51.100.1', ipv6: '2001:db8:3::1' } as const;

/** On the gateway's machine, and no address of the way to it. */
export const OWN_HOST = '198.51.100.200';

export interface UserspaceSceneOptions {
  /** More lines of its gateway.toml, by table. */
  readonly tables?: Readonly<Record<string, readonly string[]>>;
}

export interface StartOptions {
  /** Default: the scene's own. */
  readonly file?: string;
  readonly words?: readonly string[];
  /** False: a machine without koffi. Default: true. */
  readonly hasEngine?: boolean;
}

const HIDE_KOFFI = path.join(import.meta.dirname, '../../node/ffi/hide-koffi.ts');

export class UserspaceScene implements AsyncDisposable {
  readonly lab: Lab;
  readonly pin: string;
  /** The configuration. */
  readonly file: string;
  readonly control: Occtl;
  readonly controlSocket: string;
  readonly outside: Program;
  /** Nobody's own. */
  readonly folder: string;
  readonly #files: { readonly certificate: string; readonly key: string; readonly passwords: string };
  #gateway: Program | undefined;

  private constructor(lab: Lab, folder: string, file: string, certificate: CertificateFiles, passwords: string, outside: Program) {
    this.lab = lab;
    this.folder = folder;
    this.file = file;
    this.pin = pinOf(certificate);
    this.#files = { ...certificate, passwords };
    this.outside = outside;
    this.controlSocket = path.join(folder, 'control');
    this.control = new Occtl(lab.server, this.controlSocket, OUR_GATEWAY.control);
  }

  static async open({ tables = {} }: UserspaceSceneOptions = {}): Promise<UserspaceScene> {
    assertBuilt(OUR_GATEWAY.command);
    const lab = await Lab.open();
    const folder = mkdtempSync(path.join(lab.folder, 'nobody-'));
    for (const each of [lab.folder, folder]) chmodSync(each, 0o777);
    const authority = await makeAuthority(folder);
    const certificate = await makeServerCertificate(folder, authority, Object.values(lab.addresses.server));
    const passwords = await writePasswords(folder, [ALICE, { ...ALICE, name: 'bob' }]);
    const users = path.join(folder, 'users');
    mkdirSync(users);
    for (const each of [certificate.key, passwords]) chmodSync(each, 0o644);
    const sections: Record<string, readonly string[]> = {
      listen: [`tcp-port = ${PORT}`],
      process: [`state = "${folder}/state"`],
      control: [`socket = "${folder}/control"`],
      network: ['device = "userspace"'],
      tls: [`certificates = [{ certificate = "${certificate.certificate}", key = "${certificate.key}" }]`],
      auth: [`required = [{ method = "plain", passwords = "${passwords}" }]`],
      pool: ['ipv4 = "10.77.0.0/24"', 'ipv6 = "fd77::/64"'],
      policy: ['dns = ["10.77.0.1"]'],
      files: [`users = "${users}"`],
    };
    for (const [name, lines] of Object.entries(tables)) sections[name] = [...(sections[name] ?? []), ...lines];
    const file = path.join(folder, 'gateway.toml');
    const text = Object.entries(sections).map(([name, lines]) => `[${name}]\n${lines.join('\n')}\n`);
    writeFileSync(file, text.join('\n'));
    // The host's name server is the outside's.
    const { ipv4 } = OUTSIDE;
    writeFileSync(lab.server.file('/etc/resolv.conf'), `nameserver ${ipv4}\n`);
    await lab.server.ip(`address add ${OWN_HOST}/32 dev lo`);
    const names = await lab.router.start(process.execPath, [
      path.join(import.meta.dirname, '../inside-program.ts'),
      ...[certificate.certificate, certificate.key, ipv4],
    ]);
    await names.waitFor(/^inside$/m);
    const outside = await lab.router.start(process.execPath, [path.join(import.meta.dirname, 'outside-program.ts')]);
    await outside.waitFor(/^outside$/m);
    return new UserspaceScene(lab, folder, file, certificate, passwords, outside);
  }

  /** Starts the gateway as nobody; clients can come when the promise resolves. */
  async start({ file = this.file, words = [], hasEngine = true }: StartOptions = {}): Promise<Program> {
    const env = hasEngine ? {} : { NODE_OPTIONS: `--import=${HIDE_KOFFI}` };
    const program = await this.asNobody('server', ['gateway', '--config', file, ...words], { env });
    await program.waitFor(/\blistening\b/);
    this.#gateway = program;
    return program;
  }

  /** Settings of one user, in ocserv's format. */
  addUser(name: string, settings: string): void {
    writeFileSync(path.join(this.folder, 'users', name), `${settings}\n`);
  }

  /** The same gateway in ocserv's words, but for what only `--userspace` says. */
  ocservConf(): string {
    const { certificate, key, passwords } = this.#files;
    const lines = {
      ...{ auth: `plain[passwd=${passwords}]`, 'server-cert': certificate, 'server-key': key, 'tcp-port': PORT, 'udp-port': PORT },
      ...{ 'socket-file': path.join(this.folder, 'ocserv.sock'), device: 'vpns', 'use-occtl': false },
      ...{ 'ipv4-network': '10.77.0.0/24', 'ipv6-network': 'fd77::/64', dns: '10.77.0.1' },
    };
    return Object.entries(lines)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join('');
  }

  /** What the network outside has, on the gateway's own machine too. */
  async startOutsideOnGateway(): Promise<void> {
    const program = await this.lab.server.start(process.execPath, [path.join(import.meta.dirname, 'outside-program.ts')]);
    await program.waitFor(/^outside$/m);
  }

  get gateway(): Program {
    if (this.#gateway === undefined) throw new Error('the gateway was not started');
    return this.#gateway;
  }

  /** What a client is told of where things are. */
  get targets(): string {
    return JSON.stringify({ ...OUTSIDE, nobody: '198.51.100.77', ownHost: OWN_HOST, inside: '10.77.0.1' });
  }

  /** Where clients go. */
  get url(): string {
    return `${this.lab.addresses.server.ipv4}:${PORT}`;
  }

  /** Runs `sallyport` as nobody. */
  asNobody(where: 'client' | 'server', words: readonly string[], options: ProgramOptions = {}): Promise<Program> {
    return this.startAsNobody(where, [process.execPath, COMMAND, ...words], options);
  }

  /** Runs a program as nobody. */
  startAsNobody(where: 'client' | 'server', words: readonly string[], options: ProgramOptions = {}): Promise<Program> {
    const PATH = `${path.dirname(process.execPath)}:/usr/bin:/bin`;
    const env = { HOME: this.folder, XDG_RUNTIME_DIR: this.folder, PATH, ...options.env };
    return this.lab[where].start('setpriv', [...AS_NOBODY, ...words], { ...options, env });
  }

  /** Ends the gateway as Ctrl-C does. */
  async stop(): Promise<Finished> {
    this.gateway.signal('SIGINT');
    return this.gateway.finish();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.lab.close();
  }
}
