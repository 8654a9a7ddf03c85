/** The real world of a command line: this process, its files, and the users of this computer. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { MisuseError } from '../../core/errors.ts';
import type { CommandLineWorld } from './command-line.ts';
import type { LineReader } from './line-reader.ts';
import type { TextSink } from './output.ts';
import type { SystemUser } from './settings.ts';

export interface SystemWorldOptions {
  readonly programName: string;
  readonly input: LineReader;
  /** Text from outside, in the character set of the locale. */
  decode(bytes: Uint8Array): string;
  readonly streams: Streams;
}

/** Standard output and standard error, in the character set of the locale. */
export interface Streams {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
}

export function systemWorld(options: SystemWorldOptions): CommandLineWorld {
  return {
    programName: options.programName,
    environment: process.env,
    platform: process.platform,
    architecture: process.arch,
    hostname: hostname(),
    defaultScript: defaultScript(process.platform),
    now: () => new Date(),
    decode: options.decode,
    readLine: async () => {
      const line = await options.input.readLine();
      return line === undefined ? undefined : options.decode(line);
    },
    lookupUser,
    readFile: readBounded,
    say: (stream, line) => options.streams[stream].write(`${line}\n`),
  };
}

/** Where distributions put the script; the first is also the answer where none is installed. */
const SCRIPTS = [
  '/usr/share/vpnc-scripts/vpnc-script',
  '/etc/vpnc/vpnc-script',
  '/opt/homebrew/etc/vpnc/vpnc-script',
  '/usr/local/etc/vpnc/vpnc-script',
];

export function defaultScript(platform: NodeJS.Platform): string {
  if (platform === 'win32') return 'vpnc-script-win.js';
  return SCRIPTS.find((script) => existsSync(script)) ?? '/usr/share/vpnc-scripts/vpnc-script';
}

/** The whole of a file, a pipe or a device, if it is not too long. */
export async function readBounded(file: string, maxBytes: number): Promise<Uint8Array> {
  await using handle = await open(file, 'r');
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, null);
    if (bytesRead === 0) return Buffer.concat(chunks);
    length += bytesRead;
    if (length > maxBytes) throw new MisuseError(`longer than ${maxBytes} bytes`);
    chunks.push(buffer.subarray(0, bytesRead));
  }
}

/** getent knows the users of directories too; where it is missing there is the file. */
export function lookupUser(nameOrNumber: string): SystemUser | undefined {
  const isNumber = /^\s*[+-]?\d+$/.test(nameOrNumber);
  const key = isNumber ? String(Number(nameOrNumber)) : nameOrNumber;
  if (key === '' || key.includes(':') || key.includes('\n')) return undefined;
  for (const line of passwdLines(key)) {
    const [name = '', , uid = '', gid = '', , home = ''] = line.split(':');
    if (/^\d+$/.test(uid) && /^\d+$/.test(gid) && (isNumber ? uid : name) === key)
      return { name, uid: Number(uid), gid: Number(gid), home };
  }
  return undefined;
}

function passwdLines(key: string): string[] {
  try {
    return execFileSync('getent', ['passwd', '--', key], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n');
  } catch {
    return passwdFile(); // there is no getent, or no such user
  }
}

function passwdFile(): string[] {
  try {
    return readFileSync('/etc/passwd', 'utf8').split('\n');
  } catch {
    return []; // a system without the file
  }
}
