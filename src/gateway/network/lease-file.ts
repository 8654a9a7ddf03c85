/**
 * Leases on disk, so that a restarted gateway gives its clients the addresses that they have.
 *
 * One JSON file, replaced as a whole and only for its owner. Changes that come while it is written go out together with the next writing. What a crash
 * loses is the last moment; a client of then may get another address.
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { SallyportError } from '../../core/errors.ts';
import { type Cidr, formatCidr, formatIp, type IpAddress, networkOf, parseCidr, parseIp } from '../../core/wire/ip-address.ts';
import { utf8 } from '../../core/wire/text.ts';
import { replaceFile } from '../../node/replace-file.ts';
import { systemErrorCode, systemErrorText } from '../../node/system-error.ts';
import { type LeasedAddress, type LeaseEntry, MAX_LEASES } from './lease-pool.ts';

/** More than {@link MAX_LEASES} entries take. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const MAX_NAME_LENGTH = 256;

const ADDRESS = z.string().transform((text, context): IpAddress => parsed(parseIp(text), text, context));
const NETWORK = z.string().transform((text, context): Cidr => parsed(parseCidr(text), text, context));
const LEASED = z
  .strictObject({ address: ADDRESS, prefix: z.int().min(0).max(128), unit: NETWORK, local: ADDRESS.optional() })
  .refine(({ address, unit, prefix }) => isWithin(address, unit) && prefix <= address.bytes.length * 8, 'the address is not in its unit');
const ENTRY = z.strictObject({
  session: z.string().min(1).max(MAX_NAME_LENGTH),
  user: z.string().max(MAX_NAME_LENGTH),
  ipv4: LEASED.refine(({ address }) => address.family === 4, 'an IPv6 address where an IPv4 one belongs').optional(),
  ipv6: LEASED.refine(({ address }) => address.family === 6, 'an IPv4 address where an IPv6 one belongs').optional(),
});
const FILE = z.strictObject({ version: z.literal(1), leases: z.array(ENTRY).max(MAX_LEASES) });

/** Throws {@link SallyportError} (`ERR_LEASE_FILE`) for a file that is there and is not ours; none is no leases. */
export async function readLeases(file: string): Promise<readonly LeaseEntry[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw new SallyportError('ERR_LEASE_FILE', `The leases in ${file} could not be read: ${systemErrorText(error)}.`, { cause: error });
  }
  if (text.length > MAX_FILE_BYTES) throw damaged(file, `it is longer than ${MAX_FILE_BYTES} bytes`);
  const { success, data, error } = FILE.safeParse(parseJson(text));
  if (!success) throw damaged(file, error.issues[0]?.message ?? 'unknown');
  return data.leases.map(({ session, user, ipv4, ipv6 }) => ({
    session,
    user,
    lease: { ...(ipv4 !== undefined && { ipv4: leased(ipv4) }), ...(ipv6 !== undefined && { ipv6: leased(ipv6) }) },
  }));
}

export interface LeaseWriterOptions {
  readonly entries: () => readonly LeaseEntry[];
  /** The leases could not be written; the gateway goes on, and the next change tries again. */
  readonly onError: (error: SallyportError) => void;
}

/** Writes the leases whenever it is told that they have changed. */
export class LeaseWriter {
  readonly #file: string;
  readonly #options: LeaseWriterOptions;
  #writing: Promise<void> | undefined;
  #isStale = false;

  constructor(file: string, options: LeaseWriterOptions) {
    this.#file = file;
    this.#options = options;
  }

  changed(): void {
    this.#isStale = true;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#isStale) this.changed(); // since the last look
    });
  }

  /** All that has changed until now is written, or could not be. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#isStale) {
      await Promise.resolve(); // what changes in the same turn goes along
      this.#isStale = false;
      try {
        await replaceFile(this.#file, utf8(rendered(this.#options.entries())));
      } catch (cause) {
        const why = `The leases could not be written to ${this.#file}: ${systemErrorText(cause)}. After a restart clients may get other addresses.`;
        this.#options.onError(new SallyportError('ERR_LEASE_FILE', why, { cause }));
      }
    }
  }
}

function rendered(entries: readonly LeaseEntry[]): string {
  const leases = entries.map(({ session, user, lease: { ipv4, ipv6 } }) => ({ session, user, ipv4: plain(ipv4), ipv6: plain(ipv6) }));
  return `${JSON.stringify({ version: 1, leases })}\n`;
}

function plain(leased: LeasedAddress | undefined) {
  if (leased === undefined) return undefined;
  const { address, prefix, unit, local } = leased;
  return { address: formatIp(address), prefix, unit: formatCidr(unit), local: local && formatIp(local) };
}

function leased({ address, prefix, unit, local }: z.infer<typeof LEASED>): LeasedAddress {
  return { address, prefix, unit, ...(local !== undefined && { local }) };
}

function isWithin(address: IpAddress, unit: Cidr): boolean {
  return address.family === unit.address.family && formatCidr(networkOf({ address, prefix: unit.prefix })) === formatCidr(unit);
}

function parsed<T>(value: T | undefined, text: string, context: z.RefinementCtx): T {
  if (value !== undefined) return value;
  context.addIssue(`"${text}" is not an address`);
  return z.NEVER;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the caller says that it is damaged
  }
}

function damaged(file: string, why: string): SallyportError {
  return new SallyportError('ERR_LEASE_FILE', `${file} does not hold leases of this gateway (${why}). Remove it to start without.`);
}
