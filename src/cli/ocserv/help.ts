/** What `--help` and `--version` print, in ocserv's layout; the options are a table, which the parser takes too. */
import type { OptionSyntax } from '../getopt-long.ts';

/** The release that we are a stand-in for: tools compare the number. */
const OCSERV_VERSION = '1.1.6';

/** ocserv's words for what a build can do, in its order; only what we have. */
const FEATURES = ['oath', 'radius', 'PAM', 'OIDC', 'AnyConnect'];

export interface OcservOption extends OptionSyntax<OcservOptionName> {
  /** Name of the argument. */
  readonly argument?: string;
  readonly meaning: string;
  /** Lines below. */
  readonly details?: readonly string[];
}

export type OcservOptionName =
  | 'foreground'
  | 'debug'
  | 'config'
  | 'test-config'
  | 'no-chdir'
  | 'pid-file'
  | 'version'
  | 'traceable'
  | 'help';

/** In the order of help. */
export const OCSERV_OPTIONS: readonly OcservOption[] = [
  { name: 'foreground', short: 'f', takesArgument: false, meaning: 'Do not fork into background' },
  {
    name: 'debug',
    short: 'd',
    takesArgument: true,
    argument: 'num',
    meaning: 'Enable verbose network debugging information',
    details: ['\t\t\t\t- it must be in the range:', '\t\t\t\t  0 to 9'],
  },
  {
    name: 'config',
    short: 'c',
    takesArgument: true,
    argument: 'file',
    meaning: 'Configuration file for the server',
    details: ['\t\t\t\t- file must exist'],
  },
  { name: 'test-config', short: 't', takesArgument: false, meaning: 'Test the provided configuration file' },
  { name: 'no-chdir', takesArgument: false, meaning: 'Do not perform a chdir on daemonize' },
  { name: 'pid-file', short: 'p', takesArgument: true, argument: 'file', meaning: 'Specify pid file for the server' },
  { name: 'version', short: 'v', takesArgument: false, meaning: 'output version information and exit' },
  {
    name: 'traceable',
    short: 'x',
    takesArgument: false,
    meaning: 'Allow processes tracing',
    details: ['               - use for debugging purposes only'],
  },
  { name: 'help', short: 'h', takesArgument: false, meaning: 'display extended usage information and exit' },
];

/** Where the meanings begin. */
const COLUMN = 30;

export function helpText(): string {
  const lines = OCSERV_OPTIONS.flatMap(({ name, short, argument, meaning, details = [] }) => {
    const words = `   ${short === undefined ? '   ' : `-${short},`} --${name}${argument === undefined ? '' : `=${argument}`}`;
    return [`${words.padEnd(COLUMN)}${meaning}`, ...details];
  });
  return [
    'ocserv - OpenConnect VPN server',
    'Usage:  ocserv [ -<flag> [<val>] | --<name>[{=| }<val>] ]...',
    '',
    ...lines,
    '',
    'This is Sallyport in the place of ocserv: an SSL VPN server for the clients of',
    'the OpenConnect and AnyConnect protocols, with the options and the configuration',
    'file of ocserv.',
    '',
  ].join('\n');
}

export function versionText({ openssl, ownVersion }: { readonly openssl: string; readonly ownVersion: string }): string {
  return [
    `ocserv ${OCSERV_VERSION}`,
    '',
    `Compiled with: ${FEATURES.join(', ')}`,
    `OpenSSL version: ${openssl}`,
    `Sallyport ${ownVersion} in the place of ocserv`,
    '',
  ].join('\n');
}
