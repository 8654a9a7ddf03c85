/** What openconnect can do and this command cannot yet: one table. Asking for it ends the command with a sentence that says just that. */
import type { OptionName } from './options.ts';
import type { BuiltProtocol } from './settings.ts';

const NOT_YET = 'does not exist yet in Sallyport';

export type NotBuiltOption = 'libproxy';

/** Options that always fail. They are understood, and left out of the help. */
export const OPTIONS_NOT_BUILT: Readonly<Record<NotBuiltOption, string>> = {
  libproxy: `--libproxy ${NOT_YET}. Name the proxy with --proxy, or with the variable https_proxy.`,
};

export function isNotBuilt(name: OptionName): name is NotBuiltOption {
  return name in OPTIONS_NOT_BUILT;
}

export interface ProtocolWords {
  /** Lower case. */
  readonly name: string;
  readonly title: string;
  readonly isBuilt: boolean;
}

/** In the order of help and `--version`, which name the built ones; the first is the default. */
export const PROTOCOLS: readonly ProtocolWords[] = [
  { name: 'anyconnect' satisfies BuiltProtocol, title: 'Cisco AnyConnect and ocserv', isBuilt: true },
  { name: 'nc' satisfies BuiltProtocol, title: 'Juniper Network Connect', isBuilt: true },
  { name: 'gp' satisfies BuiltProtocol, title: 'Palo Alto Networks GlobalProtect', isBuilt: true },
  { name: 'pulse' satisfies BuiltProtocol, title: 'Pulse Connect Secure', isBuilt: true },
  { name: 'f5' satisfies BuiltProtocol, title: 'F5 BIG-IP', isBuilt: true },
  { name: 'fortinet' satisfies BuiltProtocol, title: 'Fortinet SSL VPN', isBuilt: true },
  { name: 'array' satisfies BuiltProtocol, title: 'Array Networks', isBuilt: true },
  { name: 'nullppp', title: 'PPP over TLS, for tests', isBuilt: false },
];

export const TOKEN_MODES_NOT_BUILT: readonly string[] = ['rsa', 'yubioath'];

export function protocolNotBuilt(name: string): string {
  return `--protocol=${name} ${NOT_YET}.`;
}

export function tokenModeNotBuilt(mode: string): string {
  return `--token-mode=${mode} ${NOT_YET}. There are totp, hotp and oidc.`;
}

/** AnyConnect's single sign-on comes back encrypted, which is another matter than SAML's redirect. */
export function browserNotBuilt(protocol: string): string {
  return `--external-browser with --protocol=${protocol} ${NOT_YET}. There are --protocol=fortinet and --protocol=gp.`;
}

/** The program is not run: a gateway that wants no report takes the log-in all the same. */
export function hostCheckNotBuilt(protocol: string): string {
  return `WARNING: --csd-wrapper has no effect with --protocol=${protocol}: a host check of that protocol ${NOT_YET}.`;
}
