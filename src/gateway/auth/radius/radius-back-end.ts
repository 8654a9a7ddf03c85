/**
 * Passwords checked by RADIUS servers; a challenge is one more question.
 *
 * Read first: RFC 2865 §4.1 to §4.4, spec "Gateway contract", section 3 (`radius`).
 */
import { NetworkError, SallyportError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/log.ts';
import type { Secret } from '../../../core/secret.ts';
import { formatIp } from '../../../core/wire/ip-address.ts';
import { utf8 } from '../../../core/wire/text.ts';
import { systemErrorText } from '../../../node/system-error.ts';
import type { RadiusConfig } from '../../config/gateway-config.ts';
import { type BackEndLogin, type LoginAttempt, PASSWORD_PROMPT, type PasswordBackEnd, type Verdict } from '../back-end.ts';
import { type RadiusServer, readRadcliConfig } from './radcli-file.ts';
import {
  ATTRIBUTES,
  gatewayAttributes,
  groupsOf,
  limitsOf,
  numberAttribute,
  policyOf,
  replyMessage,
  textAttribute,
  valuesOf,
} from './radius-attributes.ts';
import { askRadius, type RadiusAnswer } from './radius-client.ts';
import { hidePassword, MAX_PASSWORD_LENGTH, RADIUS_CODES, type RadiusAttribute } from './radius-packet.ts';

/** RFC 2865 §5.6, §5.41. Observed: what ocserv sends. */
const AUTHENTICATE_ONLY = 8;
const NAS_PORT_ASYNC = 0;

export interface RadiusWorld {
  readonly log: Logger;
  readonly random: (length: number) => Uint8Array;
}

export class RadiusBackEnd implements PasswordBackEnd {
  readonly #config: RadiusConfig;
  readonly #takesPolicy: boolean;
  readonly #world: RadiusWorld;

  /** @param takesPolicy `groupconfig=true`: addresses, routes and name servers come from the server */
  constructor(config: RadiusConfig, takesPolicy: boolean, world: RadiusWorld) {
    this.#config = config;
    this.#takesPolicy = takesPolicy;
    this.#world = world;
  }

  login(attempt: LoginAttempt): BackEndLogin {
    const ended = new AbortController();
    let challenge: { readonly state: readonly Uint8Array[]; readonly server: RadiusServer } | undefined;
    let asked = 0;
    return {
      begin: async () => ({ type: 'ask', prompt: PASSWORD_PROMPT }),
      answer: async (value) => {
        if (utf8(value.reveal()).length > MAX_PASSWORD_LENGTH) return { type: 'wrong', isFinal: challenge !== undefined };
        const answer = await this.#ask(attempt, value, challenge, ended.signal);
        if (answer === undefined) return { type: 'unavailable' };
        const { packet, server } = answer;
        if (packet.code === RADIUS_CODES.accessAccept) return this.#accepted(packet.attributes);
        if (packet.code !== RADIUS_CODES.accessChallenge) return { type: 'wrong', isFinal: false };
        challenge = { state: valuesOf(packet.attributes, ATTRIBUTES.state), server };
        const message = replyMessage(packet.attributes) || PASSWORD_PROMPT.message;
        return { type: 'ask', prompt: { message, label: `Password${++asked}:`, kind: 'otp', isSecond: true } };
      },
      close: () => ended.abort(),
    };
  }

  #accepted(attributes: readonly RadiusAttribute[]): Verdict {
    return {
      type: 'accepted',
      groups: groupsOf(attributes),
      policy: this.#takesPolicy ? policyOf(attributes) : limitsOf(attributes),
      classes: valuesOf(attributes, ATTRIBUTES.class).map((value) => value.slice()),
    };
  }

  /** Undefined: no server has answered; it has been logged. */
  async #ask(
    attempt: LoginAttempt,
    password: Secret,
    challenge: { readonly state: readonly Uint8Array[]; readonly server: RadiusServer } | undefined,
    signal: AbortSignal,
  ): Promise<RadiusAnswer | undefined> {
    try {
      const radcli = await readRadcliConfig(this.#config.file);
      const attributes = (authenticator: Uint8Array, secret: Uint8Array): readonly RadiusAttribute[] => [
        textAttribute(ATTRIBUTES.userName, attempt.user),
        { type: ATTRIBUTES.userPassword, value: hidePassword(utf8(password.reveal()), authenticator, secret) },
        ...gatewayAttributes(this.#config.nasIdentifier ?? radcli.nasIdentifier, attempt.local),
        textAttribute(ATTRIBUTES.callingStationId, formatIp(attempt.remote)),
        ...(attempt.userAgent === '' ? [] : [textAttribute(ATTRIBUTES.connectInfo, attempt.userAgent)]),
        numberAttribute(ATTRIBUTES.serviceType, AUTHENTICATE_ONLY),
        numberAttribute(ATTRIBUTES.nasPortType, NAS_PORT_ASYNC),
        ...(challenge?.state ?? []).map((value) => ({ type: ATTRIBUTES.state, value })),
      ];
      const first = challenge === undefined ? {} : { first: challenge.server };
      return await askRadius(radcli, { kind: 'access', attributes }, { random: this.#world.random, signal, ...first });
    } catch (error) {
      if (signal.aborted) return undefined; // nobody waits for it any more
      const reason = error instanceof SallyportError ? error.message : systemErrorText(error);
      this.#world.log.log('error', error instanceof NetworkError ? 'no RADIUS server answers' : 'RADIUS', {
        file: this.#config.file,
        reason,
      });
      return undefined;
    }
  }
}
