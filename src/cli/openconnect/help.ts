/** What `--help` prints, and what follows a usage error (spec "CLI", section 4): made from the table of options. */
import { isNotBuilt, PROTOCOLS } from './not-built.ts';
import { GROUP_TITLES, type OptionSpec } from './option-spec.ts';
import { type OptionName, optionsFor } from './options.ts';
import { libraryLine, OPENCONNECT_VERSION } from './version.ts';

export interface HelpFacts {
  readonly platform: NodeJS.Platform;
  readonly openssl: string;
  readonly defaultScript: string;
}

/** Where the meanings begin. */
const COLUMN = 34;

export function helpLines(facts: HelpFacts): string[] {
  return [
    'Usage:  openconnect [options] <server>',
    `VPN client with the options of OpenConnect ${OPENCONNECT_VERSION}`,
    '',
    libraryLine(facts.openssl),
    ...groupsOf(facts.platform).flatMap(({ title, options }) => [
      '',
      `${title}:`,
      ...options.flatMap((option) => [optionLine(option), ...moreLines(option.name, facts)]),
    ]),
    '',
    'The manual, sallyport-openconnect(1), says more about each option.',
  ];
}

/** The options that help shows, by heading. */
export function groupsOf(
  platform: NodeJS.Platform,
): readonly { readonly title: string; readonly options: readonly OptionSpec<OptionName>[] }[] {
  const shown = optionsFor(platform).filter((option) => option.hidden !== true && !isNotBuilt(option.name));
  return Object.entries(GROUP_TITLES).map(([group, title]) => ({ title, options: shown.filter((option) => option.group === group) }));
}

/** What belongs to an option and is not known before the command runs. */
function moreLines(name: OptionName, facts: HelpFacts): string[] {
  if (name === 'script') return [aligned('', `default: "${facts.defaultScript}"`)];
  if (name !== 'protocol') return [];
  return PROTOCOLS.filter((protocol) => protocol.isBuilt).map((protocol) => aligned(`      --protocol=${protocol.name}`, protocol.title));
}

function optionLine(option: OptionSpec): string {
  const short = option.short === undefined ? '    ' : `-${option.short}, `;
  const argument = option.argument === undefined ? '' : `=${option.argument}`;
  return aligned(`  ${short}--${option.name}${argument}`, option.meaning);
}

function aligned(left: string, right: string): string {
  return left.length < COLUMN ? left.padEnd(COLUMN) + right : `${left} ${right}`;
}
