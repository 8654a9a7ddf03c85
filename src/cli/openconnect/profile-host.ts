/**
 * Looks a server up in the AnyConnect profile of `--xmlconfig` (spec "CLI", section 3.4).
 *
 *   AnyConnectProfile / ServerList / HostEntry / HostName, HostAddress, UserGroup
 */
import { getElementsByTagName, innerText } from 'domutils';
import { parseDocument } from 'htmlparser2';

export interface ProfileHost {
  readonly address: string;
  readonly userGroup?: string;
}

/** Real ones have some dozens of kilobytes. */
export const MAX_PROFILE_BYTES: number = 4 << 20;

/** True if the text is a document at all: openconnect says so when it is not. */
export function isXml(text: string): boolean {
  return getElementsByTagName('*', parseDocument(text, { xmlMode: true }), true, 1).length > 0;
}

/** The entry whose HostName is exactly this; undefined if there is none with an address. */
export function findProfileHost(profile: string, hostName: string): ProfileHost | undefined {
  const document = parseDocument(profile, { xmlMode: true });
  for (const entry of getElementsByTagName('HostEntry', document)) {
    const text = (name: string) => {
      const [element] = getElementsByTagName(name, entry.children, false);
      return element === undefined ? undefined : innerText(element).trim();
    };
    const address = text('HostAddress');
    const userGroup = text('UserGroup');
    if (text('HostName') === hostName && address) return { address, ...(userGroup && { userGroup }) };
  }
  return undefined;
}
