/** What a client shows before it is asked anything: its certificate and its token, and who it is by them. */

import type { LoginHints } from '../../core/auth/dialogue.ts';
import { SallyportError } from '../../core/errors.ts';
import { certificateNames } from './certificate-names.ts';
import type { HostAuth, Way } from './host-auth.ts';

export interface ShownIdentity {
  readonly certificate?: { readonly user: string; readonly groups: readonly string[] };
  readonly tokenUser?: string;
}

/** The common name: what a user is called by where no field was set. */
const DEFAULT_USER_FIELD = { oid: '2.5.4.3' };

/** Undefined: what it shows is not acceptable, and the log-in is over; the reason has been logged. */
export async function identify(host: HostAuth, hints: LoginHints, log: (reason: string) => void): Promise<ShownIdentity | undefined> {
  const { certificateChain = [], bearer } = hints;
  const [leaf] = certificateChain;
  let identity: ShownIdentity = {};
  if (leaf !== undefined && host.usesCertificates) {
    const certificate = await certificateHolder(host, certificateChain, leaf, log);
    if (certificate === undefined) return undefined;
    identity = { certificate };
  }
  if (bearer === undefined) return identity;
  for (const { token } of host.ways) {
    const tokenUser = await token?.userOf(bearer);
    if (tokenUser !== undefined) return { ...identity, tokenUser };
  }
  if (!host.ways.some(({ token }) => token !== undefined)) return identity;
  log('the token is not acceptable');
  return undefined;
}

async function certificateHolder(
  host: HostAuth,
  shown: readonly Uint8Array[],
  leaf: Uint8Array,
  log: (reason: string) => void,
): Promise<ShownIdentity['certificate'] | undefined> {
  const { certificateUser = DEFAULT_USER_FIELD, certificateGroup } = host.config.auth;
  const chain = host.authority?.completed(shown) ?? shown;
  try {
    const foreign =
      host.authority === undefined ? 'this host has no authority of client certificates' : await host.authority.refusalOf(chain);
    const refusal = foreign ?? (await host.revocations?.refusalOf(chain));
    if (refusal !== undefined) {
      log(refusal);
      return undefined;
    }
    const [user] = certificateNames(leaf, certificateUser);
    // Spec "AnyConnect", section 12.2: a certificate without the field is no proof of who it is, and must not be passed over.
    if (user !== undefined) return { user, groups: certificateGroup === undefined ? [] : certificateNames(leaf, certificateGroup) };
    log('the certificate has no name in the field that is configured for the user');
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    log(error.message);
  }
  return undefined;
}

/** The way that this client can take with what it has shown; undefined: none. */
export function wayFor(host: HostAuth, { certificate, tokenUser }: ShownIdentity): Way | undefined {
  return host.ways.find(
    (way) => (!way.needsCertificate || certificate !== undefined) && (way.token === undefined || tokenUser !== undefined),
  );
}
