/**
 * How to log in, which a portal or a gateway says before anyone has said who they are. Both ways.
 *
 * Read first: spec "GlobalProtect", section 3.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { child, parseXml, renderXml, textOf, type XmlElement, type XmlLimits, xmlElement } from '../../markup/xml.ts';
import { toXmlText } from '../../markup/xml-names.ts';
import { printable } from '../../wire/text.ts';
import { type BrowserStart, readBrowserStart, renderBrowserStart } from './browser-login.ts';

export type Prelogin =
  | {
      readonly type: 'ready';
      readonly banner?: string;
      readonly usernameLabel: string;
      readonly passwordLabel: string;
      /** Where the server thinks that the client is. */
      readonly region?: string;
      /** The name in the client's certificate, which it shall log in by. */
      readonly username?: string;
      /** A browser logs in, which begins here. */
      readonly browser?: BrowserStart | 'unreadable';
      /** It may be the system's own, which is led back to the client in the end (spec 4.4); else the last page holds what it brings. */
      readonly leadsBack?: boolean;
    }
  | { readonly type: 'refused'; readonly message: string };

/** The words by which a server says that it has no such interface. */
export const NO_PORTAL = 'GlobalProtect portal does not exist';
export const NO_GATEWAY = 'GlobalProtect gateway does not exist';

/** Spec 17. */
export const XML_LIMITS: Partial<XmlLimits> = { length: 1024 * 1024, depth: 32, elements: 10_000, attributes: 32, attributeLength: 8192 };
/** Of a portal's policy, which may hold many certificates. */
export const POLICY_LIMITS: Partial<XmlLimits> = { ...XML_LIMITS, length: 4 * 1024 * 1024 };

const ROOT = 'prelogin-response';
const MAX_TEXT = 400;

/** Throws {@link PeerMisbehavedError} for what is no such answer. */
export function parsePrelogin(document: Uint8Array | string): Prelogin {
  const root = parseXml(document, XML_LIMITS);
  if (root.name !== ROOT) throw new PeerMisbehavedError('The server is no GlobalProtect portal or gateway.');
  if (childText(root, 'status') !== 'Success') {
    return { type: 'refused', message: childText(root, 'msg') ?? 'The server gives no reason.' };
  }
  const banner = childText(root, 'authentication-message');
  const region = childText(root, 'region');
  const username = childText(root, 'ccusername');
  const method = childText(root, 'saml-auth-method');
  const request = child(root, 'saml-request');
  return {
    type: 'ready',
    ...(banner !== undefined && { banner }),
    usernameLabel: childText(root, 'username-label') ?? 'Username',
    passwordLabel: childText(root, 'password-label') ?? 'Password',
    ...(region !== undefined && { region }),
    ...(username !== undefined && { username }),
    ...(method !== undefined && request !== undefined && { browser: readBrowserStart(method, textOf(request)) ?? 'unreadable' }),
    ...(childText(root, 'saml-default-browser') === 'yes' && { leadsBack: true }),
  };
}

export function renderPrelogin(prelogin: Prelogin): string {
  const text = (name: string, value = '') => xmlElement(name, {}, [toXmlText(value)]);
  if (prelogin.type === 'refused') {
    return renderXml(xmlElement(ROOT, {}, [text('status', 'Error'), text('msg', prelogin.message)]));
  }
  const { browser } = prelogin;
  const start = browser === undefined || browser === 'unreadable' ? undefined : renderBrowserStart(browser);
  return renderXml(
    xmlElement(ROOT, {}, [
      ...[text('status', 'Success'), text('ccusername', prelogin.username), text('autosubmit', 'false'), text('msg'), text('newmsg')],
      ...[text('authentication-message', prelogin.banner), text('username-label', prelogin.usernameLabel)],
      ...[text('password-label', prelogin.passwordLabel), text('panos-version', '1'), text('region', prelogin.region ?? 'Unknown')],
      ...(start === undefined
        ? []
        : [
            ...[
              text('saml-default-browser', prelogin.leadsBack === true ? 'yes' : 'no'),
              text('saml-auth-status', '0'),
              text('saml-auth-method', start.method),
            ],
            ...[text('saml-request-timeout', '600'), text('saml-request-id', '0'), text('saml-request', start.request)],
          ]),
    ]),
  );
}

/** A child element's text, fit for a terminal; undefined if there is none. */
export function childText(element: XmlElement, name: string): string | undefined {
  const found = child(element, name);
  const text = found && printable(textOf(found)).trim();
  return text === undefined || text === '' ? undefined : text.slice(0, MAX_TEXT);
}
