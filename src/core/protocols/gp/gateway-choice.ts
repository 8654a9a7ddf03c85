/**
 * Which of a portal's gateways a log-in goes on at: the one that somebody has chosen, or else the best that answers.
 *
 * Read first: spec "GlobalProtect", sections 5.4 and 5.5.
 */
import type { LoginIo } from '../../auth/login-io.ts';
import {
  CancelledError,
  CERTIFICATE_NOT_TRUSTED,
  NetworkError,
  PeerMisbehavedError,
  PeerRefusedError,
  TooLateError,
} from '../../errors.ts';
import { hostHeader } from '../../http/url.ts';
import { revealed } from '../../secret.ts';
import type { Millis } from '../../tunnel/packet.ts';
import type { PortalGateway } from './portal-policy.ts';

const GATEWAY_FORM_ID = '_portal';

/**
 * How long a gateway may take for each step of its first answer while there is another to go to. A SYN that was lost is sent again after one second, and after
 * two more (RFC 6298 §2.1, §5.5); nobody has to think before this answer. The look-up of its name is not counted: where the first of the system's name servers
 * is down, each takes five seconds by itself, and the best gateway would be passed over for no fault of its own.
 */
const PATIENCE: Millis = 5_000;

/** Those to be tried, in their order: one alone if it was chosen. `gateways`: the best first. */
export async function chooseGateways(io: LoginIo, gateways: readonly PortalGateway[]): Promise<readonly PortalGateway[]> {
  const [first] = gateways;
  if (first === undefined) throw new PeerMisbehavedError('The portal names no gateway.');
  if (gateways.length === 1) return gateways;
  const answer = await io.ask({
    id: GATEWAY_FORM_ID,
    message: 'Please select a gateway.',
    fields: [
      {
        ...({ kind: 'choice', name: 'gateway', label: 'GATEWAY:', isGroup: true, canBeLeft: true } as const),
        choices: gateways.map(({ label }) => ({ value: label, label })),
        initial: first.label,
      },
    ],
  });
  if (answer.type === 'cancel') throw new CancelledError();
  const said = answer.type === 'submit' ? answer.values.gateway : answer.group;
  if (said === undefined) return gateways;
  const chosen = gateways.filter(({ label }) => label === revealed(said));
  if (chosen.length === 0) throw new PeerRefusedError('The portal names no such gateway.');
  return chosen;
}

/**
 * What `visit` finds at the first of these where it finds something: the next is tried where one cannot be reached, does not answer in good time, or is no
 * gateway that lets people log in. The last has all the time there is (`patience` is undefined), and after it those have that were only too slow.
 * Rejects with NetworkError, which names them all, where there is none; of a single one, with what was wrong there.
 */
export async function firstThatAnswers<T>(
  io: LoginIo,
  gateways: readonly PortalGateway[],
  visit: (gateway: PortalGateway, patience: Millis | undefined) => Promise<T>,
): Promise<T> {
  const faults = new Map<PortalGateway, string>();
  const visits = gateways.map((gateway, i) => ({ gateway, patience: i === gateways.length - 1 ? undefined : PATIENCE }));
  for (const { gateway, patience } of visits) {
    try {
      return await visit(gateway, patience);
    } catch (error) {
      if (gateways.length === 1 || !isPassedOver(error)) throw error;
      const name = hostHeader(gateway.target);
      io.log.log('warn', 'gateway passed over', { gateway: name, reason: error.message });
      faults.set(gateway, `${name}: ${error.message}`);
      if (patience !== undefined && isTooLate(error)) visits.push({ gateway, patience: undefined });
    }
  }
  throw new NetworkError(`None of the portal’s gateways can be used. ${[...faults.values()].join(' ')}`);
}

/** By itself, or by one of its causes. */
function isTooLate(error: unknown): boolean {
  return error instanceof TooLateError || (error instanceof Error && isTooLate(error.cause));
}

/** Not for a certificate that nobody vouches for, or that a person has said no to: that is never passed by. */
function isPassedOver(error: unknown): error is Error {
  if (error instanceof NetworkError && error.code === CERTIFICATE_NOT_TRUSTED) return false;
  return [NetworkError, PeerRefusedError, PeerMisbehavedError].some((kind) => error instanceof kind);
}
