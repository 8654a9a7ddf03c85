/**
 * How one host lets people in: its methods with their back ends, made from the configuration once.
 *
 * All of `auth` together are one way in, each `enable-auth` is another. A way needs a certificate, a token, a password, or several of them.
 */
import type { Logger } from '../../core/log.ts';
import type { AuthMethod, HostConfig } from '../config/gateway-config.ts';
import type { Accounting } from './accounting.ts';
import type { PasswordBackEnd } from './back-end.ts';
import { ClientAuthority } from './client-authority.ts';
import { LoginPasses, type PassWorld } from './login-passes.ts';
import { OidcVerifier } from './oidc-verifier.ts';
import { OtpFile } from './otp-file.ts';
import { PamAccounting } from './pam-accounting.ts';
import { PamBackEnd } from './pam-back-end.ts';
import { PasswordFileBackEnd } from './password-file-back-end.ts';
import type { PasswordHasher } from './password-hash.ts';
import { RadiusAccounting } from './radius/radius-accounting.ts';
import { RadiusBackEnd } from './radius/radius-back-end.ts';
import { RevocationLists } from './revocation-lists.ts';

export interface AuthWorld extends PassWorld {
  readonly log: Logger;
  readonly hasher: PasswordHasher;
}

/** One way in: everything that it names is needed. */
export interface Way {
  readonly needsCertificate: boolean;
  readonly token?: OidcVerifier;
  readonly password?: PasswordBackEnd;
}

export class HostAuth {
  readonly config: HostConfig;
  /** Those that ask nothing first: who can take one of them is not asked for a password. */
  readonly ways: readonly Way[];
  readonly accounting: Accounting | undefined;
  /** Undefined: nobody's certificate is good here. */
  readonly authority: ClientAuthority | undefined;
  readonly revocations: RevocationLists | undefined;
  /** Undefined: there is no portal here, and no pass is given or taken. */
  readonly passes: LoginPasses | undefined;

  constructor(config: HostConfig, world: AuthWorld) {
    this.config = config;
    const { required, alternatives, accounting } = config.auth;
    const ways = [required, ...alternatives.map((method) => [method])].filter((methods) => methods.length > 0);
    this.ways = ways
      .map((methods) => wayOf(methods, world))
      .sort((a, b) => Number(a.password !== undefined) - Number(b.password !== undefined));
    this.accounting = accounting === undefined ? undefined : accountingOf(accounting, world);
    this.passes = config.portal && new LoginPasses(config.portal, config.name, world);
    const { revocationList, clientAuthority } = config.tls;
    this.authority = clientAuthority === undefined ? undefined : new ClientAuthority(clientAuthority, world);
    this.revocations = revocationList === undefined ? undefined : new RevocationLists(revocationList, clientAuthority, world);
  }

  get usesCertificates(): boolean {
    return this.ways.some((way) => way.needsCertificate);
  }

  async close(): Promise<void> {
    await this.accounting?.close();
  }
}

function wayOf(methods: readonly AuthMethod[], world: AuthWorld): Way {
  let way: Way = { needsCertificate: false };
  for (const method of methods) {
    switch (method.method) {
      case 'certificate':
        way = { ...way, needsCertificate: true };
        break;
      case 'oidc':
        way = { ...way, token: new OidcVerifier(method.file, world) };
        break;
      case 'plain':
      case 'pam':
      case 'radius':
        way = { ...way, password: backEndOf(method, world) };
        break;
      default:
        method satisfies never;
    }
  }
  return way;
}

function backEndOf(method: Exclude<AuthMethod, { readonly method: 'certificate' | 'oidc' }>, world: AuthWorld): PasswordBackEnd {
  switch (method.method) {
    case 'plain':
      return new PasswordFileBackEnd({
        hasher: world.hasher,
        log: world.log,
        ...(method.passwordFile !== undefined && { passwordFile: method.passwordFile }),
        ...(method.otpFile !== undefined && { otp: new OtpFile(method.otpFile, world.now) }),
      });
    case 'pam':
      return new PamBackEnd({ log: world.log, ...(method.minGid !== undefined && { minGid: method.minGid }) });
    case 'radius':
      return new RadiusBackEnd(method.radius, method.takesGroups, world);
  }
}

function accountingOf(accounting: NonNullable<HostConfig['auth']['accounting']>, world: AuthWorld): Accounting {
  return accounting.method === 'radius' ? new RadiusAccounting(accounting.radius, world) : new PamAccounting(world.log);
}
