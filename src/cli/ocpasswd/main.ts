/**
 * The drop-in for ocpasswd: users of the gateway's password file are added, changed, locked and deleted.
 *
 * Read first: spec "Gateway contract", section 3, "ocpasswd"; `command-line.ts`.
 */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { CancelledError, SallyportError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { PasswordHasher } from '../../gateway/auth/password-hash.ts';
import { LineReader } from '../openconnect/line-reader.ts';
import { Terminal } from '../openconnect/terminal.ts';
import { ownVersion } from '../openconnect/version.ts';
import { type OcpasswdRequest, readOcpasswdArguments, USAGE } from './command-line.ts';
import { type Edit, editEntries } from './edit-entries.ts';
import { rewriteLocked } from './locked-file.ts';

/** The release that we are a stand-in for. */
const OCPASSWD_VERSION = '1.1.6';

/** Of a program that Ctrl-C has ended. */
const INTERRUPTED = 130;

/** Runs the command to its end; resolves with the exit status. */
export async function main(): Promise<number> {
  const programName = path.basename(process.argv[1] ?? 'ocpasswd', '.js');
  const request = readOcpasswdArguments(process.argv.slice(2), programName);
  switch (request.type) {
    case 'help':
      process.stderr.write(USAGE);
      return 0;
    case 'version':
      process.stderr.write(`ocpasswd - ${OCPASSWD_VERSION}\nSallyport ${ownVersion()} in the place of ocpasswd\n`);
      return 0;
    case 'usage':
      process.stderr.write(`${request.message === undefined ? '' : `${request.message}\n`}${USAGE}`);
      return 1;
    case 'edit':
      return run(request);
  }
}

async function run(request: Extract<OcpasswdRequest, { readonly type: 'edit' }>): Promise<number> {
  try {
    const edit = await editOf(request);
    await rewriteLocked(request.file, request.kind !== 'set', (text) => editEntries(text, edit));
    return 0;
  } catch (error) {
    if (error instanceof CancelledError) return INTERRUPTED;
    if (!(error instanceof SallyportError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

async function editOf({ kind, user, groups }: Extract<OcpasswdRequest, { readonly type: 'edit' }>): Promise<Edit> {
  const name = asBytes(user);
  if (kind !== 'set') return { kind, user: name };
  const hash = await new PasswordHasher().make(await readPassword(), (length) => randomBytes(length));
  return { kind, user: name, groups: asBytes(groups), hash };
}

/** Twice from a terminal. Observed: else one line, which must not be empty; that a missing one makes an empty password is not copied. */
async function readPassword(): Promise<Secret> {
  const input = new LineReader(process.stdin);
  if (!process.stdin.isTTY) {
    const line = await input.readLine();
    if (line === undefined || line.length === 0) throw new NoPasswordError('Please specify a password');
    return new Secret(line.toString());
  }
  const decode = (bytes: Uint8Array) => Buffer.from(bytes).toString();
  const terminal = new Terminal({
    input,
    keyboard: process.stdin,
    screen: process.stderr,
    decode,
    nonInteractive: false,
    answersOnStdin: false,
  });
  const first = await terminal.ask('Enter password: ', { hidden: true });
  const second = await terminal.ask('Re-enter password: ', { hidden: true });
  if (first !== second) throw new NoPasswordError('Passwords do not match');
  return new Secret(first);
}

/** In ocpasswd's words. */
class NoPasswordError extends SallyportError {
  constructor(message: string) {
    super('ERR_NO_PASSWORD', message);
  }
}

/** The file is edited as bytes, one character each: so is what goes into it. */
function asBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}
