/**
 * A real ocserv in a namespace, set up in one call: users, certificates, configuration files, control socket.
 *
 * Read first: spec "Gateway contract". Everything that needs a file is an option here; everything else is one of ocserv's own settings.
 *
 * @example
 * const ocserv = await Ocserv.start(lab, { settings: { dns: ['10.77.0.1'], route: ['10.0.0.0/8'] } });
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Lab, SERVER_NAME } from './lab.ts';
import type { Namespace } from './namespaces.ts';
import { Occtl } from './occtl.ts';
import { DEFAULT_SETTINGS, type OcservSettings, renderOcservConfig } from './ocserv-config.ts';
import type { Command } from './openconnect.ts';
import { type Program, startProgram } from './program.ts';
import { type CertificateFiles, makeAuthority, makeServerCertificate, pinOf } from './throwaway-certificates.ts';

export interface OcservUser {
  readonly name: string;
  /** Any text without line ends; may be empty. */
  readonly password: string;
  readonly groups?: readonly string[];
  /** Asks for a code of six digits after the password. */
  readonly otp?: OcservOtp;
}

export interface OcservOtp {
  /** `HOTP/T30` counts 30-second steps, `HOTP` presses. */
  readonly kind: 'HOTP/T30' | 'HOTP';
  readonly secret: Uint8Array;
}

export interface OcservOptions {
  /** Who may log in by password. Default: {@link ALICE}. */
  readonly users?: readonly OcservUser[];
  /**
   * How to log in. Default: `password`. `password-and-code` asks each user with an `otp` for it; the last three need `clientAuthority`.
   */
  readonly login?: 'password' | 'password-and-code' | 'certificate' | 'certificate-and-password' | 'certificate-or-password';
  /** The path of the PEM certificate that client certificates must be signed by. */
  readonly clientAuthority?: string;
  /** Default: P-256, signed by an authority that nobody knows; clients trust its {@link Ocserv.pin}. */
  readonly certificate?: CertificateFiles;
  /** Over {@link DEFAULT_SETTINGS}; undefined takes one of those away. */
  readonly settings?: OcservSettings;
  /** Settings of single users and groups, by name. */
  readonly perUser?: Readonly<Record<string, OcservSettings>>;
  readonly perGroup?: Readonly<Record<string, OcservSettings>>;
  /** Virtual hosts by name: what differs from `settings`. */
  readonly virtualHosts?: Readonly<Record<string, OcservSettings>>;
  /** An AnyConnect profile (XML) that clients may download. */
  readonly userProfile?: string;
  /** ocserv's own, 1 to 9. Default 1. */
  readonly debugLevel?: number;
  /** Default: Debian's ocserv. */
  readonly program?: OcservProgram;
}

/** A program that takes ocserv's configuration and arguments. */
export interface OcservProgram {
  readonly command: Command;
  /** The line by which it says that clients can come. */
  readonly ready: RegExp;
  /** Its control tool: each speaks to its own gateway only. Default: Debian's. */
  readonly control?: Command;
}

/** Observed: comes after the lines that say that TCP and UDP are open. DEFAULT_SETTINGS has one security module. */
export const DEBIAN_OCSERV: OcservProgram = { command: ['ocserv'], ready: /sec-mod initialized/ };

/** The user that is there unless a test says otherwise. */
export const ALICE: OcservUser = { name: 'alice', password: 'correct horse' };

/** `crypt(3)` of the empty password, which ocpasswd and openssl refuse to hash. */
const EMPTY_PASSWORD_HASH = '$5$sallyportlab$w5rcn5TGC1D6.X05aFacUkCvj/hLGHCOVlzR00jPJk0';

const UID_OID = '0.9.2342.19200300.100.1.1';
const OU_OID = '2.5.4.11';

export class Ocserv {
  /** Everything of this gateway: configuration, users, certificates, sockets. */
  readonly folder: string;
  readonly settings: OcservSettings;
  /** Where clients go: the server's IPv4 address. */
  readonly gateway: string;
  /** What `--servercert` takes. */
  readonly pin: string;
  /** The PEM file to trust instead, for `--cafile`; undefined with a certificate of the test's own. */
  readonly authority: string | undefined;
  readonly control: Occtl;
  readonly #namespace: Namespace;
  readonly #debugLevel: number;
  readonly #what: OcservProgram;
  #program: Program | undefined;
  #earlierLog = '';

  private constructor(lab: Lab, files: Files, settings: OcservSettings, { debugLevel = 1, program = DEBIAN_OCSERV }: OcservOptions) {
    this.folder = files.folder;
    this.settings = settings;
    this.gateway = lab.addresses.server.ipv4;
    this.pin = pinOf(files.certificate);
    this.authority = files.authority;
    this.control = new Occtl(lab.server, files.controlSocket, program.control);
    this.#namespace = lab.server;
    this.#debugLevel = debugLevel;
    this.#what = program;
  }

  /** Starts ocserv on the lab's server; it listens when the promise resolves. */
  static async start(lab: Lab, options: OcservOptions = {}): Promise<Ocserv> {
    const folder = mkdtempSync(path.join(lab.folder, 'ocserv-'));
    const files = {
      folder,
      controlSocket: path.join(folder, 'occtl.sock'),
      ...(await serverCertificate(lab, folder, options.certificate)),
    };
    const settings: OcservSettings = {
      ...(await loginSettings(folder, options)),
      'socket-file': path.join(folder, 'ocserv.sock'),
      'occtl-socket-file': files.controlSocket,
      'server-cert': files.certificate.certificate,
      'server-key': files.certificate.key,
      ...supplements(folder, options),
      ...DEFAULT_SETTINGS,
      ...options.settings,
    };
    const hosts = Object.entries(options.virtualHosts ?? {}).map(([name, own]) => `[vhost:${name}]\n${renderOcservConfig(own)}`);
    writeFileSync(path.join(folder, CONFIG_FILE), `${renderOcservConfig(settings)}${hosts.join('')}`);
    const ocserv = new Ocserv(lab, files, settings, options);
    await ocserv.#run();
    return ocserv;
  }

  /** The main process. Throws while ocserv is stopped. */
  get program(): Program {
    if (this.#program === undefined) throw new Error('ocserv is not running');
    return this.#program;
  }

  /** Everything ocserv has logged, over restarts. */
  get log(): string {
    return this.#earlierLog + (this.#program?.output ?? '');
  }

  /** Ends ocserv and every session. Observed: clients are told so only now and then; most see their connection end. Safe to call twice. */
  async stop(): Promise<void> {
    if (this.#program === undefined) return;
    await this.#program.stop();
    this.#earlierLog += this.#program.output;
    this.#program = undefined;
  }

  /** Stops and starts again with the same files. */
  async restart(): Promise<void> {
    await this.stop();
    await this.#run();
  }

  async #run(): Promise<void> {
    const args = ['--foreground', '--debug', String(this.#debugLevel), '--config', path.join(this.folder, CONFIG_FILE)];
    const [program, ...leading] = this.#what.command;
    this.#program = await this.#namespace.start(program, [...leading, ...args]);
    await this.#program.waitFor(this.#what.ready);
  }
}

const CONFIG_FILE = 'ocserv.conf';

interface Files {
  readonly folder: string;
  readonly controlSocket: string;
  readonly certificate: CertificateFiles;
  readonly authority: string | undefined;
}

/** The given certificate, or one from a new authority for every name and address under which a client may reach the gateway. */
async function serverCertificate(
  lab: Lab,
  folder: string,
  given: CertificateFiles | undefined,
): Promise<{ certificate: CertificateFiles; authority: string | undefined }> {
  if (given !== undefined) return { certificate: given, authority: undefined };
  const authority = await makeAuthority(folder);
  const hosts = [SERVER_NAME, ...Object.values(lab.addresses.server), ...Object.values(lab.addresses.router)];
  return { certificate: await makeServerCertificate(folder, authority, hosts), authority: authority.certificate };
}

/** The keys that say who may log in and how, with the files that they name. */
async function loginSettings(
  folder: string,
  { users = [ALICE], login = 'password', clientAuthority }: OcservOptions,
): Promise<OcservSettings> {
  const passwords = await writePasswords(folder, users);
  const plain = login === 'password-and-code' ? `plain[passwd=${passwords},otp=${writeOtps(folder, users)}]` : `plain[passwd=${passwords}]`;
  if (login === 'password' || login === 'password-and-code') return { auth: [plain] };
  if (clientAuthority === undefined) throw new Error(`login by ${login} needs a clientAuthority`);
  const certificates: OcservSettings = { 'ca-cert': clientAuthority, 'cert-user-oid': UID_OID, 'cert-group-oid': OU_OID };
  switch (login) {
    case 'certificate':
      return { auth: ['certificate'], ...certificates };
    case 'certificate-and-password':
      return { auth: [plain, 'certificate'], ...certificates };
    case 'certificate-or-password':
      return { auth: [plain], 'enable-auth': ['certificate'], ...certificates };
  }
}

/** The password file, by ocserv's own tool where it can; its path. */
export async function writePasswords(folder: string, users: readonly OcservUser[], fileName = 'passwords'): Promise<string> {
  const file = path.join(folder, fileName);
  writeFileSync(
    file,
    users
      .filter(({ password }) => password === '')
      .map(({ name, groups }) => `${name}:${groups?.join(',') ?? '*'}:${EMPTY_PASSWORD_HASH}\n`)
      .join(''),
  );
  for (const { name, password, groups = [] } of users.filter((user) => user.password !== '')) {
    const args = ['--passwd', file, ...(groups.length === 0 ? [] : ['--groupname', groups.join(',')]), '--', name];
    const ocpasswd = await startProgram('ocpasswd', args, 'ocpasswd', { input: `${password}\n${password}\n` });
    const { code, output } = await ocpasswd.finish();
    if (code !== 0) throw new Error(`ocpasswd refused ${JSON.stringify(name)}: ${output}`);
  }
  return file;
}

/** The file of mod-authn-otp, which ocserv rewrites after each use. `-`: no PIN before the code. */
function writeOtps(folder: string, users: readonly OcservUser[]): string {
  const file = path.join(folder, 'otps');
  const lines = users.flatMap(({ name, otp }) =>
    otp === undefined ? [] : [`${otp.kind} ${name} - ${Buffer.from(otp.secret).toString('hex')}\n`],
  );
  writeFileSync(file, lines.join(''));
  return file;
}

/** The keys that name further files: per-user and per-group settings, the profile. */
function supplements(folder: string, { perUser, perGroup, userProfile }: OcservOptions): OcservSettings {
  const profile = path.join(folder, 'profile.xml');
  if (userProfile !== undefined) writeFileSync(profile, userProfile);
  return {
    ...(perUser === undefined ? {} : { 'config-per-user': writeSettings(path.join(folder, 'users'), perUser) }),
    ...(perGroup === undefined ? {} : { 'config-per-group': writeSettings(path.join(folder, 'groups'), perGroup) }),
    ...(userProfile === undefined ? {} : { 'user-profile': profile }),
  };
}

/** One file for each name. */
function writeSettings(folder: string, settings: Readonly<Record<string, OcservSettings>>): string {
  mkdirSync(folder);
  for (const [name, own] of Object.entries(settings)) writeFileSync(path.join(folder, name), renderOcservConfig(own));
  return folder;
}
