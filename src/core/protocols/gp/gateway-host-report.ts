/**
 * A client's report on its machine, as a gateway reads it: a few words for the log. It is the client's own word, and decides nothing.
 *
 * Read first: spec "GlobalProtect", sections 12 and 17.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { parseForm } from '../../http/form-urlencoded.ts';
import { checkHttpLimit } from '../../http/limits.ts';
import type { HttpRequest } from '../../http/message.ts';
import { attribute, child, childrenNamed, parseXml, type XmlElement } from '../../markup/xml.ts';
import { fromUtf8, printable } from '../../wire/text.ts';
import type { LoginFields } from '../page-login.ts';
import { childText, XML_LIMITS } from './prelogin.ts';

/** Spec 17. Before anyone has shown a session on a connection bodies have less, as all do. */
export const MAX_REPORT_BODY: number = 1024 * 1024;
const MAX_FIELDS = 64;
/** Of what goes into a log. */
const MAX_WORD = 100;
const MAX_CATEGORIES = 32;

export interface ReportSummary {
  readonly os: string;
  readonly hostname: string;
  readonly clientVersion: string;
  /** By name, where there is something in the list. */
  readonly products: readonly string[];
}

/** The form that a report comes in. Throws {@link PeerMisbehavedError} for one that is too large. */
export function parseReportForm({ body }: Pick<HttpRequest, 'body'>): LoginFields {
  checkHttpLimit(body.length, MAX_REPORT_BODY, 'bytes of a form');
  const pairs = parseForm(fromUtf8(body));
  checkHttpLimit(pairs.length, MAX_FIELDS, 'form fields');
  return new Map(pairs.toReversed()); // the first of each name
}

/** Throws {@link PeerMisbehavedError} for what is no report. */
export function parseHostReport(text: string): ReportSummary {
  const root = parseXml(text, XML_LIMITS);
  if (root.name !== 'hip-report') throw new PeerMisbehavedError('The host report is none.');
  const categories = child(root, 'categories');
  const entries = categories === undefined ? [] : childrenNamed(categories, 'entry').slice(0, MAX_CATEGORIES);
  const info = entries.find((entry) => nameOf(entry) === 'host-info');
  const word = (name: string) => (info && childText(info, name)?.slice(0, MAX_WORD)) ?? '';
  return {
    ...{ os: word('os'), hostname: word('host-name'), clientVersion: word('client-version') },
    products: entries.filter(hasProducts).map((entry) => nameOf(entry).slice(0, MAX_WORD)),
  };
}

function nameOf(entry: XmlElement): string {
  return printable(attribute(entry, 'name') ?? '');
}

function hasProducts(entry: XmlElement): boolean {
  const list = child(entry, 'list');
  return list !== undefined && childrenNamed(list, 'entry').length > 0;
}
