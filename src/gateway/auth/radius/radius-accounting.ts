/**
 * Reports of sessions to RADIUS servers.
 *
 * Read first: RFC 2866 §4.1 and §5, RFC 2869 §2.1 (interim) and §5.1 (gigawords), RFC 5080 §2.1.2. Observed: the attributes are ocserv's.
 */
import { SallyportError } from '../../../core/errors.ts';
import { formatIp } from '../../../core/wire/ip-address.ts';
import { systemErrorText } from '../../../node/system-error.ts';
import type { RadiusConfig } from '../../config/gateway-config.ts';
import type { DisconnectReason, SessionUsage } from '../../processes/auth-service.ts';
import type { Accounting } from '../accounting.ts';
import type { StoredSession } from '../session-store.ts';
import { readRadcliConfig } from './radcli-file.ts';
import { ATTRIBUTES, addressAttribute, gatewayAttributes, numberAttribute, textAttribute } from './radius-attributes.ts';
import type { RadiusWorld } from './radius-back-end.ts';
import { askRadius } from './radius-client.ts';
import type { RadiusAttribute } from './radius-packet.ts';

const STATUS = { start: 1, stop: 2, interim: 3 } as const;
const FRAMED_USER = 2;
const FRAMED_PPP = 1;
const AUTHENTIC_RADIUS = 1;

/** RFC 2866 §5.10. */
const TERMINATE_CAUSE: Readonly<Record<DisconnectReason, number>> = {
  unspecified: 2, // lost carrier: nobody has said why
  'user disconnected': 1,
  'anyconnect client disconnected': 1,
  'server disconnected': 6,
  'idle timeout': 4,
  'DPD timeout': 2,
  'unspecified error': 9,
  'session timeout': 5,
  'TCP health probe': 1,
};

/** Reports that are under way at once. Beyond it a server is down, and interim reports are left out: the next one has the newer figures. */
const MAX_UNDER_WAY = 1_024;

export class RadiusAccounting implements Accounting {
  readonly #config: RadiusConfig;
  readonly #world: RadiusWorld & { readonly now: () => number };
  /** The last report of each session: they arrive in their order. */
  readonly #last = new Map<string, Promise<void>>();

  constructor(config: RadiusConfig, world: RadiusWorld & { readonly now: () => number }) {
    this.#config = config;
    this.#world = world;
  }

  started(session: StoredSession): void {
    this.#report(session, 'start', []);
  }

  interim(session: StoredSession, usage: SessionUsage): void {
    if (this.#last.size < MAX_UNDER_WAY) this.#report(session, 'interim', usageAttributes(usage));
  }

  stopped(session: StoredSession, usage: SessionUsage, reason: DisconnectReason): void {
    this.#report(session, 'stop', [...usageAttributes(usage), numberAttribute(ATTRIBUTES.acctTerminateCause, TERMINATE_CAUSE[reason])]);
  }

  async close(): Promise<void> {
    await Promise.all(this.#last.values());
  }

  #report(session: StoredSession, status: keyof typeof STATUS, more: readonly RadiusAttribute[]): void {
    const happenedAt = this.#world.now();
    const sent = (this.#last.get(session.id) ?? Promise.resolve())
      .then(() => this.#send(session, status, more, happenedAt))
      .finally(() => {
        if (this.#last.get(session.id) === sent) this.#last.delete(session.id);
      });
    this.#last.set(session.id, sent);
  }

  /** Never rejects. */
  async #send(session: StoredSession, status: keyof typeof STATUS, more: readonly RadiusAttribute[], happenedAt: number): Promise<void> {
    try {
      const radcli = await readRadcliConfig(this.#config.file);
      // RFC 2866 §5.2: how long ago it happened, by the time a server is asked.
      const attributes = () => [
        numberAttribute(ATTRIBUTES.acctStatusType, STATUS[status]),
        ...gatewayAttributes(this.#config.nasIdentifier ?? radcli.nasIdentifier, session.local),
        ...sessionAttributes(session),
        ...more,
        numberAttribute(ATTRIBUTES.acctDelayTime, Math.max(0, Math.round((this.#world.now() - happenedAt) / 1000))),
      ];
      await askRadius(radcli, { kind: 'accounting', attributes }, { random: this.#world.random });
    } catch (error) {
      const reason = error instanceof SallyportError ? error.message : systemErrorText(error);
      this.#world.log.log('error', 'RADIUS accounting', { session: session.id, user: session.user, report: status, reason });
    }
  }
}

function sessionAttributes({ id, user, userAgent, accounting, accountingClasses = [] }: StoredSession): readonly RadiusAttribute[] {
  const { remote, framedIpv4, framedIpv6 } = accounting ?? {};
  return [
    ...(userAgent === '' ? [] : [textAttribute(ATTRIBUTES.connectInfo, userAgent)]),
    textAttribute(ATTRIBUTES.userName, user),
    numberAttribute(ATTRIBUTES.serviceType, FRAMED_USER),
    numberAttribute(ATTRIBUTES.framedProtocol, FRAMED_PPP),
    ...[framedIpv4, framedIpv6].flatMap((address) =>
      address === undefined ? [] : [addressAttribute(ATTRIBUTES.framedIpAddress, ATTRIBUTES.framedIpv6Address, address)],
    ),
    ...(remote === undefined ? [] : [textAttribute(ATTRIBUTES.callingStationId, formatIp(remote))]),
    textAttribute(ATTRIBUTES.acctSessionId, id),
    numberAttribute(ATTRIBUTES.acctAuthentic, AUTHENTIC_RADIUS),
    // RFC 2865 §5.25: given back as they came.
    ...accountingClasses.map((value) => ({ type: ATTRIBUTES.class, value })),
  ];
}

function usageAttributes({ received, sent, duration }: SessionUsage): readonly RadiusAttribute[] {
  const word = 2 ** 32;
  return [
    numberAttribute(ATTRIBUTES.acctSessionTime, Math.round(duration / 1000)),
    numberAttribute(ATTRIBUTES.acctInputOctets, received % word),
    numberAttribute(ATTRIBUTES.acctOutputOctets, sent % word),
    numberAttribute(ATTRIBUTES.acctInputGigawords, Math.floor(received / word)),
    numberAttribute(ATTRIBUTES.acctOutputGigawords, Math.floor(sent / word)),
  ];
}
