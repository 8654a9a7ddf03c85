/**
 * The XML documents of a client during a log-in, both ways: `init` and `auth-reply`.
 *
 * Read first: spec "AnyConnect", sections 3.1, 3.2, 3.4 and 3.12.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import {
  attribute,
  child,
  childrenNamed,
  elementsOf,
  parseXml,
  renderXmlDocument,
  textOf,
  type XmlElement,
  xmlElement,
} from '../../markup/xml.ts';
import { isNcName } from '../../markup/xml-names.ts';
import { revealed, Secret } from '../../secret.ts';
import { toBase64 } from '../../wire/text.ts';
import type { ClientIdentification } from '../client-protocol.ts';
import { GROUP_FIELD } from './login-form.ts';

export interface ClientDocument {
  readonly type: 'init' | 'auth-reply';
  /** `<auth-method>` of the capabilities. */
  readonly capabilities: readonly string[];
  /** init: the URL that is contacted. */
  readonly groupAccess?: string;
  /** init: a certificate was asked for and there is none. */
  readonly lacksCertificate?: boolean;
  /** init: the group that was chosen. auth-reply: the answer to the form's group field; none if it has no such field. */
  readonly group?: string;
  /** auth-reply: as it came. */
  readonly opaque?: XmlElement;
  /** auth-reply: the answers, in the order of the form. */
  readonly fields?: readonly (readonly [name: string, value: string | Secret])[];
  readonly hostScanToken?: Secret;
  /** auth-reply: the second certificate of a multiple-certificate log-in. */
  readonly userCertificate?: UserCertificateReply;
}

export interface UserCertificateReply {
  /** A certificates-only PKCS#7, DER. */
  readonly bundle: Uint8Array;
  readonly hash: string;
  readonly signature: Uint8Array;
}

/** Spec 3.4: names that become `<password>`, and names that are not sent. */
const PASSWORD_NAMES: readonly string[] = ['answer', 'whichpin', 'new_password'];
const UNSENT_NAMES: readonly string[] = ['verify_pin', 'verify_password'];

/** A document's bytes as text, and the same for logs: without what is secret. */
export function renderClientDocument(document: ClientDocument, client: ClientIdentification): { text: string; shown: string } {
  return { text: render(document, client, revealed), shown: render(document, client, String) };
}

function render(document: ClientDocument, client: ClientIdentification, write: (value: string | Secret) => string): string {
  const { mobile } = client;
  const identity = mobile && { 'platform-version': mobile.platformVersion, 'device-type': mobile.deviceType, 'unique-id': mobile.uniqueId };
  const methods = document.capabilities.map((method) => leaf('auth-method', method));
  const children: XmlElement[] = [
    xmlElement('version', { who: 'vpn' }, [client.version]),
    xmlElement('device-id', identity ?? {}, [client.os]),
    xmlElement('capabilities', {}, methods),
  ];
  if (document.groupAccess !== undefined) children.push(leaf('group-access', document.groupAccess));
  if (document.lacksCertificate === true) children.push(xmlElement('client-cert-fail'));
  if (document.userCertificate !== undefined) children.push(xmlElement('session-token'), xmlElement('session-id'));
  if (document.opaque !== undefined) children.push(document.opaque);
  if (document.userCertificate !== undefined) children.push(renderCertificates(document.userCertificate));
  else if (document.fields !== undefined)
    children.push(
      xmlElement(
        'auth',
        {},
        document.fields.flatMap(([name, value]) => renderField(name, write(value))),
      ),
    );
  if (document.group !== undefined) children.push(leaf('group-select', document.group));
  if (document.hostScanToken !== undefined) children.push(leaf('host-scan-token', write(document.hostScanToken)));
  return renderXmlDocument(xmlElement('config-auth', { client: 'vpn', type: document.type, 'aggregate-auth-version': '2' }, children));
}

function leaf(name: string, text: string): XmlElement {
  return xmlElement(name, {}, [text]);
}

function renderField(name: string, value: string): XmlElement[] {
  if (name === GROUP_FIELD || UNSENT_NAMES.includes(name)) return [];
  if (PASSWORD_NAMES.includes(name)) return [leaf('password', value)];
  // The gateway chose the name: an element cannot be called just anything.
  if (!isNcName(name)) throw new PeerMisbehavedError('log-in form: a field has a name that cannot be an XML element');
  return [leaf(name, value)];
}

const LINE_LENGTH = 64;

function renderCertificates({ bundle, hash, signature }: UserCertificateReply): XmlElement {
  return xmlElement('auth', {}, [
    xmlElement('client-cert-chain', { 'cert-store': '1M' }, [xmlElement('client-cert-sent-via-protocol')]),
    xmlElement('client-cert-chain', { 'cert-store': '1U' }, [
      xmlElement('client-cert', { 'cert-format': 'pkcs7' }, [wrapped(toBase64(bundle))]),
      xmlElement('client-cert-auth-signature', { 'hash-algorithm-chosen': hash }, [wrapped(toBase64(signature))]),
    ]),
  ]);
}

/** A line feed after each full line, none at the end (spec 3.12). */
function wrapped(text: string): string {
  return (text.match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? []).join('\n');
}

/** What a gateway understands of a client's document. Certificates are left to whoever verifies them. */
export interface ParsedClientDocument extends Omit<ClientDocument, 'type' | 'userCertificate'> {
  /** `logout` comes from Cisco's clients (spec 3.6). */
  readonly type: ClientDocument['type'] | 'logout';
  /** What a session is known by where it is not in a cookie. */
  readonly sessionToken?: Secret;
  readonly version: string;
  readonly os: string;
  /** The root element, for what is not said above. */
  readonly root: XmlElement;
}

export function parseClientDocument(body: Uint8Array | string): ParsedClientDocument {
  const root = parseXml(body);
  const type = attribute(root, 'type');
  if (root.name !== 'config-auth' || (type !== 'init' && type !== 'auth-reply' && type !== 'logout')) {
    throw new PeerMisbehavedError('client document: expected config-auth of type init, auth-reply or logout');
  }
  const text = (name: string) => {
    const element = child(root, name);
    return element && textOf(element);
  };
  const capabilities = child(root, 'capabilities');
  const auth = child(root, 'auth');
  const [groupAccess, group, token, opaque] = [text('group-access'), text('group-select'), text('host-scan-token'), child(root, 'opaque')];
  const sessionToken = text('session-token')?.trim() ?? '';
  return {
    type,
    version: text('version') ?? '',
    os: text('device-id') ?? '',
    capabilities: capabilities === undefined ? [] : childrenNamed(capabilities, 'auth-method').map(textOf),
    lacksCertificate: child(root, 'client-cert-fail') !== undefined,
    ...(groupAccess !== undefined && { groupAccess }),
    ...(group !== undefined && { group }),
    ...(opaque !== undefined && { opaque }),
    ...(auth !== undefined && { fields: elementsOf(auth).map((element) => [element.name, new Secret(textOf(element))] as const) }),
    ...(token !== undefined && { hostScanToken: new Secret(token) }),
    ...(sessionToken !== '' && { sessionToken: new Secret(sessionToken) }),
    root,
  };
}
