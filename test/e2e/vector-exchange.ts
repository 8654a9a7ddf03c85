/**
 * A configuration file of test/vectors/ocserv-conf with a daemon on it, and the real client that connects to it: what the daemon answered.
 *
 * Each exchange has a lab of its own, with a folder for what the file names: passwords, certificates, a RADIUS server, users for PAM.
 */
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ConfigFolder } from '../gateway/config/config-folder.ts';
import { DROP_IN } from '../support/drop-in.ts';
import { FreeRadius } from '../support/freeradius.ts';
import { answersIn } from '../support/gateway-headers.ts';
import { Lab } from '../support/lab.ts';
import { ALICE, type OcservProgram, type OcservUser, writePasswords } from '../support/ocserv.ts';
import { OpenConnect } from '../support/openconnect.ts';
import { makeClientCertificate, pinOf } from '../support/throwaway-certificates.ts';

/** How the client goes to it: as Alice by password, from outside, unless this says otherwise. */
export interface Visit {
  /** What makes it different from the file's other visits. */
  readonly title?: string;
  readonly args?: readonly string[];
  readonly user?: OcservUser | 'certificate';
  /** Behind the address. */
  readonly path?: string;
  /** The name of the host that is asked for. Default: none, an address. */
  readonly name?: string;
  /** Default: the real openconnect. */
  readonly command?: readonly [string, ...string[]];
  /** From the gateway's own machine, to this address. */
  readonly inside?: string;
  /** Shows a certificate. */
  readonly hasCertificate?: boolean;
}

const MAIL = 'alice@vpn.example';
const OTP_KEY = Buffer.from('12345678901234567890');
const CODES = ['--token-mode=totp', `--token-secret=0x${OTP_KEY.toString('hex')}`];

const VISITS: Readonly<Record<string, readonly Visit[]>> = {
  camouflage: [{ path: '?open-sesame' }],
  certificate: [{ user: 'certificate', hasCertificate: true }],
  'certificate-and-password': [{ user: { ...ALICE, name: MAIL }, hasCertificate: true }],
  'enable-auth': [{ title: 'by password' }, { title: 'by certificate', user: 'certificate', hasCertificate: true }],
  groups: [
    { title: 'her own group', args: ['--authgroup', 'DEFAULT'] },
    { title: 'a group by its text', args: ['--authgroup', 'People who work here'] },
  ],
  'ipv6-only': [{ inside: '[::1]' }],
  // openconnect fills the code into other fields than ocserv's.
  'one-time-codes': [{ args: CODES, command: DROP_IN }],
  pam: [{ args: ['--authgroup', ALICE.name] }],
  'proxy-protocol': [{ inside: '127.0.0.1' }],
  vhosts: [
    { title: 'the default host' },
    { title: 'a host by its name in punycode', name: 'xn--bcher-kva.example' },
    { title: 'a host that wants certificates', name: 'www.example.com', user: 'certificate', hasCertificate: true },
    { title: 'a host with PAM', name: 'pam.example' },
    { title: 'a name that nobody knows', name: 'else.example' },
  ],
};

export function visitsOf(vector: string): readonly Visit[] {
  return VISITS[vector] ?? [{}];
}

const GROUPS_OF_ALICE = ['staff', 'guests'];

/** Starts the daemon, connects, and returns the lines of all its answers, visit by visit. */
export async function answersOf(vector: string, daemon: OcservProgram): Promise<string[][]> {
  await using lab = await Lab.open();
  await using scene = await Scene.set(lab, vector);
  const [command, ...leading] = daemon.command;
  const args = [...leading, '--foreground', '--debug', '1', '--config', scene.file];
  const program = await lab.server.start(command, args, { env: { PATH: `${scene.tools}:${process.env.PATH}` } });
  await program.waitFor(daemon.ready);
  const answers: string[][] = [];
  for (const visit of visitsOf(vector)) {
    answers.push(withoutFolder(await scene.visit(visit), path.dirname(scene.file)));
  }
  return answers;
}

/** As if the folder were called `@FOLDER@`, with a page's length as it would be then. */
function withoutFolder(lines: readonly string[], folder: string): string[] {
  const all: string[] = [];
  let lengthAt = 0;
  for (const line of lines) {
    const plain = line.replaceAll(folder, '@FOLDER@');
    if (line.startsWith('Content-Length: ')) lengthAt = all.length;
    if (line.startsWith('< ')) {
      all[lengthAt] = all[lengthAt]?.replace(/\d+/, (length) => String(Number(length) - (line.length - plain.length))) ?? '';
    }
    all.push(plain);
  }
  return all;
}

class Scene implements AsyncDisposable {
  readonly file: string;
  /** Programs in front of the machine's. */
  readonly tools: string;
  readonly #lab: Lab;
  readonly #folder: string;
  readonly #radius: FreeRadius | undefined;

  private constructor(lab: Lab, folder: string, file: string, radius: FreeRadius | undefined) {
    this.#lab = lab;
    this.#folder = folder;
    this.file = file;
    this.tools = path.join(folder, 'tools');
    this.#radius = radius;
  }

  static async set(lab: Lab, vector: string): Promise<Scene> {
    using made = await ConfigFolder.make();
    // In the lab, which takes it away with whatever a daemon has left there.
    const folder = path.join(lab.folder, 'gateway');
    cpSync(made.path, folder, { recursive: true });
    for (const each of [lab.folder, folder]) chmodSync(each, 0o755); // workers of ocserv go through them as nobody
    // Observed: of ocserv the folder of its socket begins at chroot-dir.
    mkdirSync(path.join(folder, folder), { recursive: true });
    installTools(path.join(folder, 'tools'));
    const users = [
      { ...ALICE, groups: GROUPS_OF_ALICE },
      { ...ALICE, name: MAIL },
    ];
    await writePasswords(folder, users, 'ocpasswd');
    writeFileSync(path.join(folder, 'users.otp'), `HOTP/T30 ${ALICE.name} - ${OTP_KEY.toString('hex')}\n`);
    const radius = vector === 'radius' ? await startRadius(lab, folder) : undefined;
    if (vector === 'pam' || vector === 'vhosts') await addPamUser(lab);
    if (vector === 'proxy-protocol') await startProxy(lab);
    const file = path.join(folder, `${vector}.conf`);
    writeFileSync(file, made.vectorText(vector, folder));
    return new Scene(lab, folder, file, radius);
  }

  async visit({ args = [], user = ALICE, path: behind = '', name, inside, hasCertificate = false, command }: Visit): Promise<string[]> {
    const { client, server, addresses } = this.#lab;
    const connection = await OpenConnect.start(inside === undefined ? client : server, {
      gateway: `${name ?? inside ?? addresses.server.ipv4}${behind === '' ? '' : `/${behind}`}`,
      pin: pinOf({ certificate: path.join(this.#folder, 'server-cert.pem'), key: '' }),
      ...(user !== 'certificate' && { user }),
      args: [
        '--dump-http-traffic',
        ...(hasCertificate ? await this.#certificate() : []),
        ...(name === undefined ? [] : ['--resolve', `${name}:${addresses.server.ipv4}`]),
        ...args,
      ],
      ...(command !== undefined && { command }),
      script: 'true',
    });
    const { program } = connection;
    await Promise.race([connection.up(), program.finish()]);
    // With what it says for the reason: what a gateway answers then is not in its output.
    if (!program.isRunning) return [...answersIn(program.stdout), ...program.output.trim().split('\n').slice(-3)];
    await connection.disconnect();
    return answersIn(program.stdout); // forms are asked on the other
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#radius?.[Symbol.asyncDispose]();
  }

  async #certificate(): Promise<string[]> {
    const authority = { certificate: path.join(this.#folder, 'ca.pem'), key: path.join(this.#folder, 'lab-ca-key.pem') };
    const subject = [
      ['CN', 'alice'],
      ['UID', 'alice'],
      ['OU', 'staff'],
    ] as const;
    const { certificate, key } = await makeClientCertificate(this.#folder, authority, subject, 'client', MAIL);
    return ['--certificate', certificate, '--sslkey', key];
  }
}

/** ocserv restricts clients by iptables, which is not everywhere; what it sends does not depend on what the filter does. */
function installTools(folder: string): void {
  mkdirSync(folder);
  for (const name of ['iptables', 'ip6tables']) writeFileSync(path.join(folder, name), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
}

async function startRadius(lab: Lab, folder: string): Promise<FreeRadius> {
  const users = `${ALICE.name} Cleartext-Password := "${ALICE.password}"\n\tClass = "OU=staff",\n\tSession-Timeout = 3600\n`;
  const radius = await FreeRadius.start({ users, namespace: lab.server, wantsSignedRequests: false });
  cpSync(radius.clientFile('dictionary /etc/radcli/dictionary\n'), path.join(folder, 'radiusclient.conf'));
  return radius;
}

async function addPamUser({ server }: Lab): Promise<void> {
  writeFileSync(
    server.file('/etc/pam.d/ocserv'),
    'auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n',
  );
  await server.run('useradd', ['--user-group', ALICE.name]);
  await server.run('chpasswd', [], { input: `${ALICE.name}:${ALICE.password}\n` });
}

async function startProxy({ server }: Lab): Promise<void> {
  const program = path.join(import.meta.dirname, '../support/proxy-header-program.ts');
  const proxy = await server.start(process.execPath, [program, '443', '4443']);
  await proxy.waitFor(/proxying/);
}
