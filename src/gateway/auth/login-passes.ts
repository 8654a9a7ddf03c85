/**
 * Passes: that somebody has logged in at a portal, in a text that the client carries to a gateway, which may be another one with the same key. Nobody keeps
 * a list of them; they are over in time, or when an administrator ends what the user has (pass-revocations.ts).
 *
 * Read first: spec "GlobalProtect", section 5.4: authenticated, encrypted, and bound to the user.
 *
 *   base64url ( nonce 12 | AES-256-GCM ( deflated holder ) | tag 16 )
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { MisuseError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import type { PortalConfig } from '../config/gateway-config.ts';
import type { AcceptedUser } from './back-end.ts';
import { CurrentFile } from './current-file.ts';

export interface PassHolder {
  /** The name that was given, by which the pass is shown again. */
  readonly username: string;
  readonly user: string;
  /** The one that was chosen. */
  readonly group?: string;
  /** What the back end has said. */
  readonly accepted: AcceptedUser;
  /** From when the password was given until when it is good, in milliseconds since 1970: a pass that was got by a pass has those of that one. */
  readonly since: number;
  readonly until: number;
}

export interface PassWorld {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
  /** Of this run of the gateway: whose passes have no key of the administrator's. */
  readonly passSecret: Uint8Array;
  /** Whether the passes are over that a user has had since then. */
  readonly isRevoked: (user: string, since: number) => boolean;
}

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Of the administrator's key file: 128 bits at least, even where they are written in hex digits. */
const MIN_KEY_FILE = 32;

/** Characters: more than clients and forms take is of no use. */
const MAX_PASS = 4096;
/** Bytes of a holder, before they are deflated. */
const MAX_HOLDER = 262_144;

export class LoginPasses {
  readonly #time: number;
  readonly #world: PassWorld;
  readonly #key: Buffer | CurrentFile<Buffer>;

  /** @param host whose passes they are where they have no key file: its virtual host's name */
  constructor({ passTime, passKey }: PortalConfig, host: string | undefined, world: PassWorld) {
    this.#time = passTime;
    this.#world = world;
    this.#key = passKey === undefined ? derived(world.passSecret, host ?? '') : new CurrentFile(passKey, keyOfFile);
  }

  /**
   * `before`: the pass that it was got by. Rejects with MisuseError, or as Node's file system does, where the key file is of no use, and for a holder who has too
   * much for a pass.
   */
  async issue(holder: Omit<PassHolder, 'since' | 'until'>, before?: PassHolder): Promise<Secret> {
    const { now, random } = this.#world;
    const nonce = random(NONCE_BYTES);
    const since = now();
    const until = since + this.#time;
    const times = before === undefined ? { since, until } : { since: before.since, until: Math.min(until, before.until) };
    const whole: PassHolder = { ...holder, ...times };
    const cipher = createCipheriv(CIPHER, await this.#keyNow(), nonce);
    const sealed = Buffer.concat([nonce, cipher.update(deflateRawSync(serialize(whole))), cipher.final(), cipher.getAuthTag()]);
    const text = sealed.toString('base64url');
    if (text.length > MAX_PASS) throw new MisuseError('what the back end says of the user does not fit into a pass');
    return new Secret(text);
  }

  /** Undefined: it is none of ours, or over, or revoked, or another's. Rejects as {@link issue} does. */
  async holderOf(pass: Secret, username: string): Promise<PassHolder | undefined> {
    const sealed = pass.reveal().length > MAX_PASS ? Buffer.alloc(0) : Buffer.from(pass.reveal(), 'base64url');
    if (sealed.length <= NONCE_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv(CIPHER, await this.#keyNow(), sealed.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    let opened: Buffer;
    try {
      opened = Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    } catch {
      return undefined; // the tag is another: of an older key, or forged
    }
    const holder = deserialize(inflateRawSync(opened, { maxOutputLength: MAX_HOLDER })) as PassHolder; // what was sealed is what issue() has made
    const { now, isRevoked } = this.#world;
    const isGood = holder.username === username && holder.until > now() && !isRevoked(holder.user, holder.since);
    return isGood ? holder : undefined;
  }

  async #keyNow(): Promise<Buffer> {
    return this.#key instanceof CurrentFile ? this.#key.read() : this.#key;
  }
}

function keyOfFile(content: Buffer): Buffer {
  if (content.length < MIN_KEY_FILE) throw new MisuseError(`a key of passes has ${MIN_KEY_FILE} bytes at least`);
  return derived(content, '');
}

function derived(secret: Uint8Array, host: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `sallyport pass ${host}`, KEY_BYTES));
}
