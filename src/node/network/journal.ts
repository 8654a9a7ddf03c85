/**
 * The journal of one set-up: what has to be undone if we do not live to undo it. Written before each step is taken.
 *
 *   /run/sallyport/NAME.PID-START.jsonl        mode 0600
 *
 *   {"version":1,"kind":"network","boot":…,"network":…, …}      the header
 *   {"kind":"route", …}                                         the entries, in order
 *
 * The owner's identity is in the file's name, so that taking over from the dead is one rename, which only one process can win; and the
 * journal of a living process can be seen to be that without opening it. Files are read with limits and checked: they decide what is run.
 *
 * Writing is synchronous. It is a few lines at a time, on a file system in memory, and nothing may happen before it is done anyway. Nothing is forced
 * to a disk: what was written outlives the process, and what the journal describes does not outlive the machine's next start.
 */
import { closeSync, constants, openSync, readlinkSync, renameSync, rmSync, writeSync } from 'node:fs';
import { open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { SallyportError } from '../../core/errors.ts';
import { bootId, isRunning, type ProcessIdentity, thisProcess } from '../processes/process-identity.ts';
import { prepareStateDirectory } from './state-directory.ts';
import { isDeviceName } from './steps.ts';

const JOURNAL_VERSION = 1;
const MAX_JOURNAL_BYTES = 4 * 1024 * 1024;
const FILE_NAME = /^(\d{1,10}-\d{1,20}-\d{1,10})\.(\d{1,10})-(\d{1,20})\.jsonl(\.new)?$/;

export type JournalKind = 'network' | 'script';

export interface JournalHeader {
  readonly version: number;
  readonly kind: JournalKind;
  /** Which run of the machine. */
  readonly boot: string;
  /** Which network namespace; what is written here means nothing in another. */
  readonly network: string;
  /** Milliseconds since 1970 with fractions, to undo the latest first. */
  readonly createdAt: number;
  /** The tunnel's device, once it exists. Names are used again, numbers are not. */
  readonly device?: { readonly name: string; readonly index: number };
}

/** A journal that was found. */
export interface FoundJournal {
  readonly file: string;
  readonly name: string;
  readonly owner: ProcessIdentity;
}

export interface JournalContent {
  readonly header: JournalHeader;
  readonly entries: readonly unknown[];
}

export class Journal {
  /** The name of the set-up; stays the same when another process takes the journal over. */
  readonly name: string;
  readonly #file: string;
  readonly #header: JournalHeader;
  #descriptor: number;
  #size = 0;

  private constructor(name: string, file: string, header: JournalHeader) {
    this.name = name;
    this.#file = file;
    this.#header = header;
    this.#descriptor = openNew(file);
  }

  /** Starts a journal of this process. `device` is absent where none is known yet. */
  static create(directory: string, kind: JournalKind, device?: JournalHeader['device']): Journal {
    prepareStateDirectory(directory);
    const owner = thisProcess();
    const name = `${owner.pid}-${owner.startTime}-${created++}`;
    const header: JournalHeader = {
      version: JOURNAL_VERSION,
      kind,
      boot: bootId(),
      network: networkNamespace(),
      createdAt: performance.timeOrigin + performance.now(),
      ...(device === undefined ? {} : { device }),
    };
    const journal = new Journal(name, fileOf(directory, name, owner), header);
    journal.append([header]);
    return journal;
  }

  /** The open file: handed to programs, it shows that they run. */
  get descriptor(): number {
    return this.#descriptor;
  }

  /** Adds entries, for whoever reads the journal from now on. Throws {@link SallyportError} when the journal would become too long to be read again. */
  append(entries: readonly object[]): void {
    this.#size += writeEntries(this.#descriptor, entries, this.#size);
  }

  /** Puts these entries in the place of all there are; a crash, or an error, leaves the old ones or the new ones. Throws as {@link append} does. */
  rewrite(entries: readonly object[]): void {
    const temporary = `${this.#file}.new`; // a name that no recovery reads
    rmSync(temporary, { force: true });
    const descriptor = openNew(temporary);
    try {
      const size = writeEntries(descriptor, [this.#header, ...entries], 0);
      renameSync(temporary, this.#file);
      closeSync(this.#descriptor);
      this.#descriptor = descriptor;
      this.#size = size;
    } catch (error) {
      closeSync(descriptor);
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  /** All is undone. */
  remove(): void {
    rmSync(this.release(), { force: true });
  }

  /** Lets go of the journal, which stays. Returns its file. */
  release(): string {
    closeSync(this.#descriptor);
    return this.#file;
  }
}

/** How many journals this process has started. */
let created = 0;

/** The journals in a folder, with their owners. Other files are none of ours. */
export async function findJournals(directory: string): Promise<readonly FoundJournal[]> {
  const found = (await readdir(directory)).flatMap((entry) => {
    const [, name, pid, startTime, unfinished] = FILE_NAME.exec(entry) ?? [];
    if (name === undefined || pid === undefined || startTime === undefined) return [];
    return [{ file: path.join(directory, entry), name, owner: { pid: Number(pid), startTime }, isUnfinished: unfinished !== undefined }];
  });
  // A rewrite that a crash cut short: the journal itself is still there.
  for (const { file, owner } of found.filter(({ isUnfinished }) => isUnfinished)) if (!isRunning(owner)) await rm(file, { force: true });
  return found.filter(({ isUnfinished }) => !isUnfinished);
}

/** Takes over a journal whose owner is gone. Undefined if another process was quicker, or is just that owner. */
export async function claimJournal(found: FoundJournal): Promise<FoundJournal | undefined> {
  if (isRunning(found.owner)) return undefined;
  const owner = thisProcess();
  const file = fileOf(path.dirname(found.file), found.name, owner);
  try {
    await rename(found.file, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return { ...found, file, owner };
}

/**
 * Reads a journal. A last line that was cut short is left out: what it announces had not begun. Undefined for an empty journal.
 * Throws {@link SallyportError} (`ERR_JOURNAL`) for what is not a journal, or one of a newer version.
 */
export async function readJournal(file: string): Promise<JournalContent | undefined> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  let text: string;
  try {
    const { size, uid } = await handle.stat();
    if (uid !== (process.geteuid?.() ?? uid)) throw new SallyportError('ERR_JOURNAL', `${file} belongs to another user.`);
    if (size > MAX_JOURNAL_BYTES) throw new SallyportError('ERR_JOURNAL', `${file} is longer than ${MAX_JOURNAL_BYTES} bytes.`);
    text = await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
  const lines = text.split('\n');
  lines.pop(); // nothing, or a line that was cut short
  const [header, ...entries] = lines.map((line) => parseLine(line, file));
  if (header === undefined) return undefined;
  if (!isHeader(header)) throw new SallyportError('ERR_JOURNAL', `${file} is not a journal that this version can read.`);
  return { header, entries };
}

function parseLine(line: string, file: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new SallyportError('ERR_JOURNAL', `${file} is damaged.`, { cause });
  }
}

function isHeader(value: unknown): value is JournalHeader {
  if (typeof value !== 'object' || value === null) return false;
  const { version, kind, boot, network, createdAt, device } = value as Partial<JournalHeader>;
  const isKnown = version === JOURNAL_VERSION && (kind === 'network' || kind === 'script');
  const isDevice = device === undefined || (isDeviceName(device?.name) && typeof device?.index === 'number');
  return isKnown && isDevice && typeof boot === 'string' && typeof network === 'string' && typeof createdAt === 'number';
}

/** The process that started a set-up, from the set-up's name. */
export function creatorOf(name: string): ProcessIdentity {
  const [pid, startTime] = name.split('-');
  return { pid: Number(pid), startTime: startTime ?? '' };
}

function fileOf(directory: string, name: string, owner: ProcessIdentity): string {
  return path.join(directory, `${name}.${owner.pid}-${owner.startTime}.jsonl`);
}

/** Writes entries to the end of a file that has `size` bytes. Returns how many bytes they are. */
function writeEntries(descriptor: number, entries: readonly object[], size: number): number {
  const bytes = Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  if (size + bytes.length > MAX_JOURNAL_BYTES) {
    throw new SallyportError('ERR_JOURNAL', `The journal of the network set-up would exceed ${MAX_JOURNAL_BYTES} bytes.`);
  }
  for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
  return bytes.length;
}

function openNew(file: string): number {
  return openSync(file, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW, 0o600);
}

/** The network namespace of this process; empty where there are none. */
export function networkNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/net');
  } catch {
    return ''; // not Linux
  }
}
