/**
 * IP6CP's option: the interface identifiers of both ends. The global address does not travel in PPP.
 *
 * Read first: RFC 5072 §4; spec "PPP", section 6.5.
 */
import { copyOf } from '../wire/copy.ts';
import type { PppOption } from './control-packet.ts';
import { PPP_PROTOCOLS } from './frame-header.ts';
import type { Ipv6Terms, PppLinkOptions } from './link-options.ts';
import { judgeEach, type Negotiation, sameOptions, type Verdict } from './negotiation.ts';

export const IP6CP_OPTIONS = { interfaceId: 1 } as const;

const ID_LENGTH = 8;

export class Ip6cp implements Negotiation {
  readonly protocol: number = PPP_PROTOCOLS.ip6cp;
  readonly #randomBytes: (length: number) => Uint8Array;
  /** Ours; all zero while the peer is to assign one. */
  #own: Uint8Array;
  /** What the peer is given where it has none; undefined: whatever comes to mind. */
  readonly #assigned: Uint8Array | undefined;
  readonly #isClient: boolean;
  #isRejected = false;

  constructor({ network, crypto }: Pick<PppLinkOptions, 'network' | 'crypto'>) {
    this.#randomBytes = (length) => crypto.randomBytes(length);
    this.#isClient = network.role === 'client';
    if (network.role === 'client') {
      this.#own = lowHalf(network.ipv6?.address?.bytes) ?? new Uint8Array(ID_LENGTH);
    } else {
      this.#own = this.#newId();
      this.#assigned = lowHalf(network.ipv6?.peer.bytes);
    }
  }

  get terms(): Ipv6Terms {
    const bytes = new Uint8Array(16);
    bytes[0] = 0xfe;
    bytes[1] = 0x80;
    bytes.set(this.#own, ID_LENGTH);
    return { interfaceId: this.#own, linkLocal: { family: 6, bytes } };
  }

  request(): readonly PppOption[] {
    return this.#isRejected ? [] : [{ type: IP6CP_OPTIONS.interfaceId, value: this.#own }];
  }

  judge(options: readonly PppOption[]): Verdict {
    return judgeEach(options, ({ type, value }) => {
      if (type !== IP6CP_OPTIONS.interfaceId || value.length !== ID_LENGTH) return 'reject';
      if (!isZero(value) && !sameId(value, this.#own)) return 'ack';
      const better =
        this.#assigned === undefined || isZero(this.#assigned) || sameId(this.#assigned, this.#own) ? this.#newId() : this.#assigned;
      return { better };
    });
  }

  accept(_options: readonly PppOption[]): void {
    // The peer's identifier is of no further use: packets carry addresses.
  }

  naked(options: readonly PppOption[]): string | undefined {
    const offered = options.find(({ type, value }) => type === IP6CP_OPTIONS.interfaceId && value.length === ID_LENGTH)?.value;
    if (offered === undefined || isZero(offered)) return this.rejected(options);
    this.#own = copyOf(offered);
    return undefined;
  }

  rejected(_options: readonly PppOption[]): string | undefined {
    if (this.#isClient) return 'The gateway gives no IPv6 interface identifier.';
    this.#isRejected = true; // ours is what it is: then the client does without
    return undefined;
  }

  agreed(): string | undefined {
    return isZero(this.#own) ? 'The other side gives no IPv6 interface identifier.' : undefined;
  }

  isRepeat(options: readonly PppOption[], before: readonly PppOption[]): boolean {
    return sameOptions(options, before);
  }

  #newId(): Uint8Array {
    const id = this.#randomBytes(ID_LENGTH);
    if (isZero(id)) id[ID_LENGTH - 1] = 1;
    return id;
  }
}

function lowHalf(address: Uint8Array | undefined): Uint8Array | undefined {
  return address === undefined ? undefined : copyOf(address.subarray(ID_LENGTH));
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function sameId(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}
