/** What one option of the drop-in command is: the record that parser, help, manual page, completion and configuration file are made from. */

export interface OptionSpec<Name extends string = string> {
  /** The long name, without dashes. */
  readonly name: Name;
  readonly short?: string;
  /** What help calls its argument; absent: it takes none. */
  readonly argument?: string;
  readonly group: OptionGroup;
  /** One line, for help. */
  readonly meaning: string;
  /** What the manual says beyond {@link meaning}: sentences, joined by blanks. */
  readonly details?: readonly string[];
  /** Where it exists; absent: everywhere. On other platforms it is an unknown option. */
  readonly platforms?: 'unix';
  /** Understood, but not shown in help. */
  readonly hidden?: true;
  readonly completes?: Completion;
}

/** What a shell offers for the option's argument. A filter is bash's: `!*.xml` hides what does not match. A marker goes before a file's name: `@`. */
export type Completion =
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'filename'; readonly filter?: string; readonly marker?: string }
  | { readonly kind: 'executable' | 'username' | 'hostname' };

export type OptionGroup =
  | 'general'
  | 'login'
  | 'certificate'
  | 'trust'
  | 'connection'
  | 'two-phase'
  | 'network'
  | 'tunnel'
  | 'process'
  | 'messages'
  | 'identity'
  | 'host-check'
  | 'compatibility';

/** The headings of help and manual, in their order. */
export const GROUP_TITLES: Readonly<Record<OptionGroup, string>> = {
  general: 'General',
  login: 'Logging in',
  certificate: 'Client certificates',
  trust: 'Trusting the gateway',
  connection: 'Reaching the gateway',
  'two-phase': 'Logging in and connecting separately',
  network: 'Network configuration',
  tunnel: 'Tunnel',
  process: 'Process',
  messages: 'Messages',
  identity: 'What the gateway is told about this computer',
  'host-check': 'Host checks',
  compatibility: 'Old and unusual gateways',
};
