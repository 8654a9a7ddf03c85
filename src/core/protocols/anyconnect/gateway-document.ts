/**
 * The XML documents of a gateway during a log-in, both ways: `auth-request` and `complete`.
 *
 * Read first: spec "AnyConnect", sections 3.1, 3.3 and 3.5. A document is understood by its children alone; its root is `config-auth`, or `auth` as
 * older gateways write it.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { attribute, child, childrenNamed, parseXml, renderXmlDocument, textOf, type XmlElement, xmlElement } from '../../markup/xml.ts';
import { Secret } from '../../secret.ts';
import { printable } from '../../wire/text.ts';
import type { LoginForm } from './login-form.ts';
import { parseLoginForm, renderLoginForm } from './login-form.ts';

export interface GatewayDocument {
  readonly type: 'auth-request' | 'complete';
  readonly auth?: AuthSection;
  /** To be sent back as it came. */
  readonly opaque?: XmlElement;
  readonly wantsClientCertificate: boolean;
  /** The TLS client certificate was accepted. */
  readonly isCertificateAuthenticated: boolean;
  /** Hash algorithms for the signature of a second certificate; undefined: none is asked for. */
  readonly userCertificateHashes?: readonly string[];
  readonly hostScan?: HostScan;
  readonly profile?: ProfileReference;
  /** Becomes the cookie `webvpn`, in place of one that came as a cookie. */
  readonly sessionToken?: Secret;
  readonly error?: string;
}

export interface AuthSection {
  readonly id: string;
  readonly title?: string;
  readonly banner?: string;
  readonly message?: string;
  readonly error?: string;
  /** No answer is needed: an empty reply is to follow. */
  readonly isComplete: boolean;
  /** The page for signing on in a browser. */
  readonly singleSignOn?: string;
  readonly form?: LoginForm;
}

/** What is to be run and polled before the gateway lets a machine in (spec 3.16). Places are paths from the root, or whole URLs. */
export interface HostScan {
  /** Becomes the cookie `sdesktop`. */
  readonly token: Secret;
  readonly ticket: string;
  readonly startUri: string;
  readonly waitUri: string;
  /** Old gateways offer the program to run. */
  readonly stubUri?: string;
}

/** Where the gateway keeps the client's profile, and the hex SHA-1 of it. */
export interface ProfileReference {
  readonly uri: string;
  readonly sha1: string;
}

/** Which element announces the host scan (spec 2.4). */
function scanElement(os: string): string {
  return os === 'win' ? 'csd' : os === 'mac-intel' ? 'csdMac' : 'csdLinux';
}

/** Reads a document; `os` is the client's `device-id`. Throws {@link PeerMisbehavedError} for what is not one. */
export function parseGatewayDocument(body: Uint8Array | string, os: string): GatewayDocument {
  const root = envelopeOf(parseXml(body));
  const auth = child(root, 'auth');
  const opaque = childrenNamed(root, 'opaque').at(-1);
  const certificates = child(root, 'multiple-client-cert-request');
  const hostScan = parseHostScan(root, auth, os);
  const profile = parseProfile(root);
  const sessionToken = tokenOf('session-token', trimmedChild(root, 'session-token'));
  const error = formatted(child(root, 'error'));
  return {
    type: attribute(root, 'type') === 'complete' ? 'complete' : 'auth-request',
    ...(auth !== undefined && { auth: parseAuth(auth) }),
    ...(opaque !== undefined && { opaque }),
    wantsClientCertificate: child(root, 'client-cert-request') !== undefined,
    isCertificateAuthenticated: child(root, 'cert-authenticated') !== undefined,
    ...(certificates !== undefined && { userCertificateHashes: childrenNamed(certificates, 'hash-algorithm').map(trimmed) }),
    ...(hostScan !== undefined && { hostScan }),
    ...(profile !== undefined && { profile }),
    ...(sessionToken !== undefined && { sessionToken }),
    ...(error !== undefined && { error }),
  };
}

/** Observed with openconnect 9.01: what only the envelope has (opaque, tokens) does not count inside an `auth` without one. */
function envelopeOf(root: XmlElement): XmlElement {
  if (root.name === 'config-auth') return root;
  if (root.name === 'auth') return xmlElement('config-auth', {}, [root]);
  throw new PeerMisbehavedError(`log-in document: expected config-auth or auth, got ${root.name.slice(0, 40)}`);
}

function parseAuth(auth: XmlElement): AuthSection {
  const title = formatted(child(auth, 'title'));
  const banner = formatted(child(auth, 'banner'));
  const message = formatted(child(auth, 'message'));
  const error = formatted(child(auth, 'error'));
  const form = child(auth, 'form');
  const singleSignOn = child(auth, 'sso-v2-login');
  return {
    id: attribute(auth, 'id') ?? '',
    ...(title !== undefined && { title }),
    ...(banner !== undefined && { banner }),
    ...(message !== undefined && { message }),
    ...(error !== undefined && { error }),
    isComplete: child(auth, 'authentication-complete') !== undefined,
    ...(singleSignOn !== undefined && { singleSignOn: trimmed(singleSignOn) }),
    ...(form !== undefined && { form: parseLoginForm(form) }),
  };
}

/** A text with its parameters put in place of `%s`, in order, up to the first other `%` (spec 3.3). Undefined if it is empty or not there. */
function formatted(element: XmlElement | undefined): string | undefined {
  if (element === undefined) return undefined;
  const parameters = [attribute(element, 'param1'), attribute(element, 'param2')];
  let text = '';
  let rest = textOf(element);
  for (let at = rest.indexOf('%'); at >= 0 && rest[at + 1] === 's'; at = rest.indexOf('%')) {
    text += rest.slice(0, at) + (parameters.shift() ?? '%s');
    rest = rest.slice(at + 2);
  }
  const shown = printable(text + rest).trim();
  return shown === '' ? undefined : shown;
}

function trimmed(element: XmlElement): string {
  return textOf(element).trim();
}

/** The text of a child; empty if it is not there. */
function trimmedChild(element: XmlElement, name: string): string {
  const found = child(element, name);
  return found === undefined ? '' : trimmed(found);
}

/** A token goes into the `Cookie` header, where it must not end itself or the line. Undefined for an empty one: it says nothing. */
function tokenOf(name: string, text: string): Secret | undefined {
  if (/[;\r\n\u0000]/.test(text)) throw new PeerMisbehavedError(`${name}: expected a text that can be a cookie`);
  return text === '' ? undefined : new Secret(text);
}

/** Only what is complete is a host scan; the new form comes first. */
function parseHostScan(root: XmlElement, auth: XmlElement | undefined, os: string): HostScan | undefined {
  const announced = child(root, 'host-scan');
  const scan = announced && parseNewScan(announced);
  return scan ?? (auth && parseOldScan(auth, os));
}

function parseNewScan(scan: XmlElement): HostScan | undefined {
  const text = (name: string) => trimmedChild(scan, `host-scan-${name}`);
  return scanOf({ token: text('token'), ticket: text('ticket'), startUri: text('base-uri'), waitUri: text('wait-uri'), stubUri: '' });
}

/** Attributes of two elements, both called `csd` for Windows. */
function parseOldScan(auth: XmlElement, os: string): HostScan | undefined {
  const valueIn = (element: string, name: string) =>
    childrenNamed(auth, element)
      .map((found) => attribute(found, name))
      .find((value) => value !== undefined) ?? '';
  const uri = (name: string) => valueIn(scanElement(os), name);
  const isMobile = os === 'android' || os === 'apple-ios';
  return scanOf({
    token: valueIn('csd', 'token'),
    ticket: valueIn('csd', 'ticket'),
    startUri: uri('starturl'),
    waitUri: uri('waiturl'),
    stubUri: isMobile ? '' : uri('stuburl'),
  });
}

type ScanTexts = Readonly<Record<'token' | 'ticket' | 'startUri' | 'waitUri' | 'stubUri', string>>;

function scanOf({ ticket, startUri, waitUri, stubUri, ...texts }: ScanTexts): HostScan | undefined {
  const token = tokenOf('host scan token', texts.token);
  if (token === undefined || ticket === '' || startUri === '' || waitUri === '') return undefined;
  const uris = { startUri: fromRoot(startUri), waitUri: fromRoot(waitUri), ...(stubUri !== '' && { stubUri: fromRoot(stubUri) }) };
  return { token, ticket, ...uris };
}

/** Observed: openconnect 9.01 takes a path without its first slash from the root, wherever the form is. */
function fromRoot(uri: string): string {
  return uri.startsWith('/') || /^[a-z][a-z0-9+.-]*:/i.test(uri) ? uri : `/${uri}`;
}

function parseProfile(root: XmlElement): ProfileReference | undefined {
  const path = ['config', 'vpn-profile-manifest', 'vpn'];
  const vpn = path.reduce<XmlElement | undefined>((element, name) => element && child(element, name), root);
  if (vpn === undefined || attribute(vpn, 'rev') !== '1.0') return undefined;
  const file = childrenNamed(vpn, 'file').find(
    (candidate) => attribute(candidate, 'type') === 'profile' && attribute(candidate, 'service-type') === 'user',
  );
  const uri = file && child(file, 'uri');
  const hash = file && childrenNamed(file, 'hash').find((candidate) => attribute(candidate, 'type') === 'sha1');
  return uri === undefined || hash === undefined ? undefined : { uri: trimmed(uri), sha1: trimmed(hash) };
}

/** Writes a document as a gateway does. The host scan is written in its new form. */
export function renderGatewayDocument(document: GatewayDocument): string {
  const children: XmlElement[] = [xmlElement('version', { who: 'sg' }, ['0.1(1)'])];
  const add = (name: string, text: string | undefined) => {
    if (text !== undefined) children.push(xmlElement(name, {}, [text]));
  };
  if (document.opaque !== undefined) children.push(document.opaque);
  add('session-token', document.sessionToken?.reveal());
  if (document.wantsClientCertificate) children.push(xmlElement('client-cert-request'));
  if (document.userCertificateHashes !== undefined) {
    const hashes = document.userCertificateHashes.map((name) => xmlElement('hash-algorithm', {}, [name]));
    children.push(xmlElement('multiple-client-cert-request', {}, hashes));
  }
  if (document.isCertificateAuthenticated) children.push(xmlElement('cert-authenticated'));
  if (document.hostScan !== undefined) children.push(renderHostScan(document.hostScan));
  add('error', document.error);
  if (document.auth !== undefined) children.push(renderAuth(document.auth));
  if (document.profile !== undefined) children.push(renderProfile(document.profile));
  return renderXmlDocument(xmlElement('config-auth', { client: 'vpn', type: document.type }, children));
}

function renderAuth(auth: AuthSection): XmlElement {
  const children: XmlElement[] = [];
  for (const name of ['title', 'banner', 'message', 'error'] as const) {
    const text = auth[name];
    if (text !== undefined) children.push(xmlElement(name, {}, [text]));
  }
  if (auth.isComplete) children.push(xmlElement('authentication-complete'));
  if (auth.singleSignOn !== undefined) children.push(xmlElement('sso-v2-login', {}, [auth.singleSignOn]));
  if (auth.form !== undefined) children.push(renderLoginForm(auth.form));
  return xmlElement('auth', { id: auth.id }, children);
}

function renderHostScan({ token, ticket, startUri, waitUri }: HostScan): XmlElement {
  const texts = [
    ['host-scan-ticket', ticket],
    ['host-scan-token', token.reveal()],
    ['host-scan-base-uri', startUri],
    ['host-scan-wait-uri', waitUri],
  ] as const;
  return xmlElement(
    'host-scan',
    {},
    texts.map(([name, text]) => xmlElement(name, {}, [text])),
  );
}

function renderProfile({ uri, sha1 }: ProfileReference): XmlElement {
  const file = xmlElement('file', { type: 'profile', 'service-type': 'user' }, [
    xmlElement('uri', {}, [uri]),
    xmlElement('hash', { type: 'sha1' }, [sha1]),
  ]);
  const manifest = xmlElement('vpn-profile-manifest', {}, [xmlElement('vpn', { rev: '1.0' }, [file])]);
  return xmlElement('config', { client: 'vpn', type: 'private' }, [manifest]);
}
